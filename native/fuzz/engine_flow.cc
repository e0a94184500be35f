// EngineHarness, continued: the bytes of the applications, the wire between them, and the end of it all.
#include "engine_harness.h"

namespace culvert {

/** Both sides of a flow have a pattern of their own; whoever dialled again begins anew. */
char EngineHarness::PatternByte(const Application& writer, uint64_t at) {
  return static_cast<char>(writer.port * 7 + at * 13 + (at >> 8) * 3 + (writer.client ? 0 : 101));
}

void EngineHarness::Write(Application& application, size_t length) {
  if (application.shut || application.closed || application.end->peer == nullptr) return;
  std::string data(std::min(length, kernel_.SpaceTo(application.end->peer)), '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = PatternByte(application, application.written + i);
  application.written += kernel_.Write(application.end, data);
}

void EngineHarness::Read(Application& application, size_t max) {
  if (application.closed || application.ended) return;
  std::string data = kernel_.Read(application.end, max);
  Application writer;
  writer.client = !application.client;
  writer.port = application.port;
  for (size_t i = 0; i < data.size(); ++i) {
    Expect(data[i] == PatternByte(writer, application.read + i), "every byte comes once, in order, to whom it was sent");
  }
  application.read += data.size();
  if (application.end->Ended()) {
    application.ended = true;
    CheckWhole(application);
  } else if (application.end->reset_arrived && application.end->arrived.empty()) {
    application.ended = true;
    Expect(!undisturbed_, "nothing is reset that nobody disturbed");
  }
}

/** An end that looks clean is one: somebody ended there, and everything before it has come. */
void EngineHarness::CheckWhole(const Application& reader) {
  bool whole = std::any_of(applications_.begin(), applications_.end(), [&](const Application& writer) {
    return writer.port == reader.port && writer.client != reader.client && writer.end->shut &&
           writer.written == reader.read;
  });
  Expect(whole, "what ends cleanly is whole");
}

void EngineHarness::AnswerDials(bool all) {
  auto dialling = kernel_.dialling();
  for (Endpoint* end : dialling) {
    bool listener = end->remote.port >= 32768;
    if (!answering_ && !listener) continue;
    bool accept = all || script_.Byte() < 240;
    if (!accept) undisturbed_ = false;
    uint16_t port = end->remote.port;
    Endpoint* application = kernel_.Answer(end, accept);
    if (application != nullptr) applications_.push_back({application, false, port});
    if (!all) return;
  }
}

bool EngineHarness::Exchange(size_t max) {
  bool moved = false;
  for (size_t i = 0; i < kernel_.ends().size(); ++i) moved |= kernel_.Deliver(kernel_.ends()[i].get(), max);
  return moved;
}

/** Lets everything go on that needs no application and no time, until nothing does. */
void EngineHarness::Settle(int rounds) {
  uint64_t before;
  do {
    before = kernel_.activity();
    AnswerDials(true);
    Exchange(SIZE_MAX);
    for (EngineNode* node : {client_.get(), server_.get()}) {
      for (size_t i = 0; i < node->engine().threads(); ++i) node->Turn(i);
      node->TakeEvents(deciding_);
    }
  } while (kernel_.activity() != before && --rounds > 0);
}

void EngineHarness::FinishApplications() {
  for (size_t i = 0; i < applications_.size(); ++i) {
    Application& application = applications_[i];
    if (application.closed) continue;
    Read(application, SIZE_MAX);
    if (!application.shut) {
      application.shut = true;
      kernel_.Shut(application.end);
    }
    if (application.ended) {
      application.closed = true;
      kernel_.CloseEnd(application.end, false);
    }
  }
}

bool EngineHarness::Over() {
  auto over = [](EngineNode& node) {
    bool drained = node.drains == 0 || node.drained > 0;
    return drained && node.AllClosed() && node.engine().counters().tunnels_inbound == 0 &&
           node.engine().counters().tunnels_outbound == 0 && node.engine().table().size() == 0;
  };
  return over(*client_) && over(*server_);
}

void EngineHarness::Finish() {
  constexpr int kSecondsMax = 200;
  if (kind_ < kCutShort) {
    kernel_.Heal();
    answering_ = true;
    if (undisturbed_) {
      deciding_ = true;
      client_->DecideHeld();
      server_->DecideHeld();
    }
    for (auto& end : kernel_.ends()) end->frozen = false;
    Nanos deadline = kernel_.now() + kSecondsMax * kSecond;
    while (!Over()) {
      Settle(1000);
      FinishApplications();
      Settle(1000);
      if (Over()) break;
      Expect(kernel_.now() < deadline, "everything ends by its deadline");
      int timeout = kernel_.Timeout();
      Expect(timeout >= 0, "no thread sleeps for ever");
      kernel_.Advance(static_cast<Nanos>(std::max(timeout, 1)) * kMillisecond);
    }
    // What the engines have passed on may not have been read yet.
    for (int i = 0; i < 4; ++i) {
      Settle(4);
      FinishApplications();
    }
    if (undisturbed_) CheckCounts();
    int before = client_->drained;
    client_->Drain(1000);
    for (int i = 0; i < 100 && client_->drained == before; ++i) {
      Settle(4);
      kernel_.Advance(20 * kMillisecond);
    }
    Expect(client_->drained > before, "a drain of nothing ends");
  }
  for (auto* node : {client_.get(), server_.get()}) {
    node->engine().Stop();
    node->TakeEvents(false);
  }
  if (std::getenv("CULVERT_FUZZ_TELL") != nullptr) Tell();
  for (auto* node : {client_.get(), server_.get()}) node->CheckEnd();
  client_.reset();
  server_.reset();
  Expect(kernel_.OpenFiles() == 1, "every descriptor is closed");
}

/** What happened, for whoever looks at an input. */
void EngineHarness::Tell() {
  std::fprintf(stderr, "%s, %.3f s\n", undisturbed_ ? "undisturbed" : "disturbed",
               static_cast<double>(kernel_.now() - began_) / kSecond);
  for (const Application& each : applications_) {
    std::fprintf(stderr, "%u %s: %llu written, %llu read%s\n", each.port, each.client ? "client" : "server",
                 static_cast<unsigned long long>(each.written), static_cast<unsigned long long>(each.read),
                 each.end->reset_arrived ? ", reset" : "");
  }
  for (auto* node : {client_.get(), server_.get()}) {
    for (auto& [id, connection] : node->known) {
      std::fprintf(stderr, "%s %u: %s, %llu sent, %llu received\n", node == client_.get() ? "client's node" : "server's node",
                   connection.port, ReasonNames()[static_cast<size_t>(connection.reason)].c_str(),
                   static_cast<unsigned long long>(connection.sent), static_cast<unsigned long long>(connection.received));
    }
  }
}

/** Who was not disturbed has got everything, and was counted right. */
void EngineHarness::CheckCounts() {
  for (Application& client : applications_) {
    if (!client.client || client.port == kSharedPort) continue;
    for (Application& server : applications_) {
      if (server.client || server.port != client.port) continue;
      Expect(client.read == server.written && server.read == client.written, "what was sent has come");
      for (auto* node : {client_.get(), server_.get()}) {
        for (auto& [id, connection] : node->known) {
          if (connection.port != client.port) continue;
          Expect(connection.reason == Reason::kOk, "who was not disturbed ends well");
          Expect(connection.sent == client.written && connection.received == server.written, "bytes are counted");
        }
      }
    }
  }
}

}  // namespace culvert
