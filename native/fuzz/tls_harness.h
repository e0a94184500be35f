// Our TLS records and a peer's bytes: either bytes as a script has them, or those of a real OpenSSL peer, which a
// script cuts, damages, and makes say odd things.
#pragma once

#include <memory>
#include <string>

#include "byte_source.h"
#include "records.h"

namespace culvert {

class TlsHarness {
 public:
  TlsHarness(ByteSource& script, bool server);
  ~TlsHarness();
  void Run();

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };

  void RunBytes();
  void RunPeer();
  void PeerActs();
  /** Moves what the peer has written to our side, in pieces, damaged if the script says so. */
  void Carry();
  void Feed(const std::string& data);

  ByteSource& script_;
  OutputPool pool_;
  MemoryBudget budget_{64 << 20};
  OutputBuffer output_{pool_, budget_};
  std::unique_ptr<Records> records_;
  std::unique_ptr<SSL, Free> peer_;
  /** The peer has a certificate that we do not trust, or one of somebody else. */
  bool stranger_ = false;
  bool damaged_ = false;
  bool over_ = false;
  std::string written_;
  size_t received_ = 0;
};

}  // namespace culvert
