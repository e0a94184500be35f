#include "connection.h"

#include "engine.h"

namespace culvert {

Connection::Connection(Loop& loop, Origin origin) : loop_(loop), origin_(std::move(origin)) {
  slot_ = loop_.engine().table().Find(origin_.id);
  slot_->connection = this;
  loop_.connections().PushBack(this);
}

void Connection::Finish(Reason reason, uint32_t detail, EndedBy by, bool after_end) {
  if (finished_) return;
  finished_ = true;
  RegistryNode::Unlink();
  EventRecord event(EventKind::kClosed, origin_.id, reason, detail);
  event.F64(static_cast<double>(slot_->sent.load(std::memory_order_relaxed)))
      .F64(static_cast<double>(slot_->received.load(std::memory_order_relaxed)))
      .F64(static_cast<double>(Now() - origin_.started) / kMillisecond)
      .U8(static_cast<uint8_t>(by))
      .U8(after_end ? 1 : 0);
  Engine& engine = loop_.engine();
  engine.table().Release(origin_.id);
  loop_.Report(std::move(event));
  loop_.Bury(std::unique_ptr<Mortal>(this));
}

Origin Connection::HandOver() {
  finished_ = true;
  RegistryNode::Unlink();
  slot_->connection = nullptr;
  loop_.Bury(std::unique_ptr<Mortal>(this));
  return std::move(origin_);
}

void Connection::ReportConnected(TunnelId tunnel, bool is_new, const std::string& peer_identity,
                                 const Headers& headers) {
  EventRecord event(EventKind::kConnected, origin_.id);
  event.U64(tunnel).U64((Now() - origin_.started) / 1000).U8(is_new ? 1 : 0).Text(peer_identity).Pairs(headers);
  loop_.Report(std::move(event));
}

}  // namespace culvert
