#include "captured.h"

#include "engine.h"
#include "outbound_stream.h"
#include "relay.h"
#include "sockets.h"

namespace culvert {

Captured::Captured(Loop& loop, Origin origin, bool outbound, Fd fd, const Address& client, const Address& original,
                   std::string trace)
    : Connection(loop, std::move(origin)),
      outbound_(outbound),
      fd_(std::move(fd)),
      client_(client),
      original_(original),
      trace_(std::move(trace)),
      deadline_([this] {
        loop_.engine().counters().Add(Counter::kDecisionTimeout);
        Terminate(Reason::kDecisionTimeout, 0, EndedBy::kEngine);
      }) {
  if (!outbound_) claim_ = pod()->ports->Occupy(client, original);
  pod()->undecided.fetch_add(1, std::memory_order_relaxed);
  loop_.engine().counters().undecided.fetch_add(1, std::memory_order_relaxed);
  loop_.Arm(deadline_, loop_.engine().options().timeouts.decision_ms);
}

Captured::~Captured() { loop_.engine().counters().undecided.fetch_sub(1, std::memory_order_relaxed); }

void Captured::Terminate(Reason reason, uint32_t detail, EndedBy by) {
  if (finished()) return;
  Decided();
  if (fd_) ResetOnClose(fd_.get());
  fd_.Reset();
  Finish(reason, detail, by);
}

void Captured::DecideRefuse(Reason reason, int status) {
  Terminate(reason, outbound_ ? static_cast<uint32_t>(status) : 0, EndedBy::kEngine);
}

void Captured::Decided() {
  deadline_.Cancel();
  pod()->undecided.fetch_sub(1, std::memory_order_relaxed);
}

void Captured::Remember(std::shared_ptr<const ReusableRoute> route) {
  if (!outbound_ || route->reuse.epoch != loop_.engine().epoch()) return;
  Pod& pod = *this->pod();
  if (pod.removed) return;
  if (!pod.routes.Remember(original_, std::move(route), loop_.engine().route_budget())) {
    loop_.engine().counters().Add(Counter::kRouteCacheFull);
  }
  if (!pod.routes.linked()) loop_.route_caches().PushBack(&pod.routes);
}

void Captured::DecideTunnel(std::shared_ptr<const TunnelDecision> decision) {
  if (finished() || !outbound_) return;
  Decided();
  OutboundStream::Route(loop_, {HandOver(), std::move(fd_), std::move(decision), client_, std::move(trace_), 0});
}

void Captured::DecidePlain(const Address& to) {
  if (finished() || !outbound_) return;
  Decided();
  auto* relay = new Relay(loop_, HandOver(), std::move(fd_), std::move(claim_));
  relay->DialOut(to);
}

void Captured::DecideDeliver(std::shared_ptr<const DeliverDecision> decision) {
  if (finished() || outbound_) return;
  Decided();
  auto* relay = new Relay(loop_, HandOver(), std::move(fd_), std::move(claim_));
  relay->DialApplication(relay->pod(), *decision);
}

void Captured::DecideDirect(const std::shared_ptr<Pod>& target, const DeliverDecision& decision) {
  if (finished() || !outbound_) return;
  Decided();
  auto* relay = new Relay(loop_, HandOver(), std::move(fd_), std::move(claim_));
  relay->DialApplication(target, decision);
}

}  // namespace culvert
