// TLS 1.3 between two byte buffers: OpenSSL does the handshake and the records, this class only moves bytes in
// and out of it. Knows no socket.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "identity.h"
#include "output_buffer.h"
#include "peer_rule.h"
#include "rate_limit.h"

namespace culvert {

class Records {
 public:
  enum class Status { kOk, kWant, kClosed, kFailed };

  Records(std::shared_ptr<const Identity> identity, bool server, PeerRule rule, OutputBuffer& output);
  ~Records();
  Records(const Records&) = delete;
  Records& operator=(const Records&) = delete;

  /** Ciphertext from the peer. Must stay valid until a call says kWant: by then all of it was taken. */
  void Feed(const uint8_t* data, size_t length);
  /** kOk once done and `h2` was agreed on. For a client that does not mean that the server accepts it. */
  Status Handshake();
  /** Up to one record of plaintext. Call until it does not say kOk: SSL_pending() lies about what is left. */
  Status Read(uint8_t* out, size_t capacity, size_t* length);
  /** False if the tunnel is beyond repair. */
  bool Write(const uint8_t* data, size_t length);
  /** Sends close_notify. */
  void Shutdown();

  bool handshaken() const { return handshaken_; }
  /** The SPIFFE id that the peer proved; empty before. */
  const std::string& peer_identity() const { return peer_identity_; }
  /** After kFailed: what OpenSSL says, and the alert received, or 0. */
  const std::string& error() const { return error_; }
  int alert() const { return alert_; }
  bool key_update_flood() const { return key_updates_ > kKeyUpdatesMax || key_updates_spent_; }
  const std::shared_ptr<const Identity>& identity() const { return identity_; }

  static int VerifyPeer(int preverified, X509_STORE_CTX* store);
  static void OnMessage(int sent, int version, int type, const void* data, size_t length, SSL* ssl, void* argument);

 private:
  /** In a row without data; new tickets of a server count as well. */
  static constexpr int kKeyUpdatesMax = 8;
  /** AES-GCM is safe for 2^24.5 full records; OpenSSL does not count them. */
  static constexpr uint64_t kRecordsPerKey = 1 << 23;

  static int BioRead(BIO* bio, char* out, int length);
  static int BioWrite(BIO* bio, const char* data, int length);
  static long BioControl(BIO* bio, int command, long number, void* pointer);
  static BIO_METHOD* Method();

  Status Fail();

  std::shared_ptr<const Identity> identity_;
  PeerRule rule_;
  OutputBuffer& output_;
  SSL* ssl_;
  const uint8_t* fed_ = nullptr;
  size_t fed_length_ = 0;
  uint64_t records_written_ = 0;
  int key_updates_ = 0;
  /** With data in between: each costs both ends a derivation, and a year of full records needs none of it. */
  RateLimit key_update_rate_{64, 1};
  bool key_updates_spent_ = false;
  int alert_ = 0;
  bool handshaken_ = false;
  std::string peer_identity_;
  std::string error_;
};

}  // namespace culvert
