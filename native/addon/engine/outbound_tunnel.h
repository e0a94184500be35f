// A tunnel that we dialled, and the connections that wait for it.
#pragma once

#include "pool.h"
#include "tunnel.h"

namespace culvert {

class OutboundStream;

class OutboundTunnel : public Tunnel {
 public:
  OutboundTunnel(Loop& loop, std::shared_ptr<TunnelShare> share);

  void Connect();
  /** Takes a stream that was promised to this tunnel: at once, when it is up, or by sending it elsewhere. */
  void Join(OutboundStream* stream);
  /** A promised stream is over. */
  void Leave();

  void Run() override;
  void EverySecond() override;
  void Retire() override;
  bool TakeNew() { return std::exchange(fresh_, false); }

  void OnGoaway() override;
  void OnRequest(int32_t, const std::string&, const Headers&, bool) override {}

 protected:
  void OnUp() override;
  void OnEmpty() override;
  void OnDown(Reason reason, uint32_t detail) override;

 private:
  void Submit(OutboundStream* stream);
  void EndIfEmpty();

  std::shared_ptr<TunnelShare> share_;
  /** Members that have no stream yet. */
  List<MemberNode> waiting_;
  Timer idle_;
  bool retiring_ = false;
  bool goaway_ = false;
  bool terminated_ = false;
  /** No stream was opened on it yet. */
  bool fresh_ = true;
};

}  // namespace culvert
