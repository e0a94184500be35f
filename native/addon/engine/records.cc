#include "records.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "exhaustion.h"

namespace culvert {

Records::Records(std::shared_ptr<const Identity> identity, bool server, PeerRule rule, OutputBuffer& output)
    : identity_(std::move(identity)), rule_(std::move(rule)), output_(output) {
  ERR_clear_error();
  ssl_ = SSL_new(server ? identity_->server() : identity_->client());
  if (ssl_ == nullptr) return;
  BIO* bio = BIO_new(Method());
  if (bio == nullptr) OutOfMemory();
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
  SSL_set_app_data(ssl_, this);
  if (server) {
    SSL_set_accept_state(ssl_);
  } else {
    SSL_set_connect_state(ssl_);
  }
}

Records::~Records() {
  SSL_free(ssl_);
  ERR_clear_error();
}

void Records::Feed(const uint8_t* data, size_t length) {
  fed_ = data;
  fed_length_ = length;
}

Records::Status Records::Handshake() {
  ERR_clear_error();
  if (ssl_ == nullptr) return Fail();
  int result = SSL_do_handshake(ssl_);
  if (result != 1) {
    if (SSL_get_error(ssl_, result) == SSL_ERROR_WANT_READ) return Status::kWant;
    return Fail();
  }
  const unsigned char* protocol = nullptr;
  unsigned int length = 0;
  SSL_get0_alpn_selected(ssl_, &protocol, &length);
  if (length != 2 || memcmp(protocol, "h2", 2) != 0) {
    error_ = "no application protocol";
    return Status::kFailed;
  }
  handshaken_ = true;
  return Status::kOk;
}

Records::Status Records::Read(uint8_t* out, size_t capacity, size_t* length) {
  ERR_clear_error();
  int result = SSL_read_ex(ssl_, out, capacity, length);
  if (result == 1) {
    key_updates_ = 0;
    return Status::kOk;
  }
  int error = SSL_get_error(ssl_, result);
  if (error == SSL_ERROR_WANT_READ) return Status::kWant;
  if (error == SSL_ERROR_ZERO_RETURN) return Status::kClosed;
  return Fail();
}

bool Records::Write(const uint8_t* data, size_t length) {
  ERR_clear_error();
  records_written_ += length / SSL3_RT_MAX_PLAIN_LENGTH + 1;
  if (records_written_ >= kRecordsPerKey) {
    records_written_ = 0;
    if (SSL_key_update(ssl_, SSL_KEY_UPDATE_NOT_REQUESTED) != 1) return false;
  }
  size_t written = 0;
  if (SSL_write_ex(ssl_, data, length, &written) == 1 && written == length) return true;
  Fail();
  return false;
}

void Records::Shutdown() {
  if (ssl_ == nullptr || !handshaken_ || !error_.empty()) return;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  ERR_clear_error();
}

Records::Status Records::Fail() {
  unsigned long code = ERR_peek_error();
  char text[256] = "unknown";
  if (code != 0) ERR_error_string_n(code, text, sizeof text);
  error_ = text;
  // OpenSSL names a received alert by reason 1000 + alert.
  int reason = ERR_GET_REASON(code);
  if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) alert_ = reason - SSL_AD_REASON_OFFSET;
  long verified = ssl_ == nullptr ? X509_V_OK : SSL_get_verify_result(ssl_);
  if (verified != X509_V_OK) error_ += std::string(": ") + X509_verify_cert_error_string(verified);
  ERR_clear_error();
  return Status::kFailed;
}

int Records::VerifyPeer(int preverified, X509_STORE_CTX* store) {
  if (preverified != 1 || X509_STORE_CTX_get_error_depth(store) != 0) return preverified;
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* records = static_cast<Records*>(SSL_get_app_data(ssl));
  std::string id = SpiffeIdOf(X509_STORE_CTX_get_current_cert(store));
  if (!records->rule_.Admits(id)) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
  }
  records->peer_identity_ = std::move(id);
  return 1;
}

void Records::OnMessage(int sent, int, int type, const void* data, size_t length, SSL* ssl, void*) {
  if (sent != 0 || type != SSL3_RT_HANDSHAKE || length == 0) return;
  uint8_t message = *static_cast<const uint8_t*>(data);
  if (message != SSL3_MT_KEY_UPDATE && message != SSL3_MT_NEWSESSION_TICKET) return;
  auto* records = static_cast<Records*>(SSL_get_app_data(ssl));
  if (records == nullptr) return;
  ++records->key_updates_;
  if (!records->key_update_rate_.Take(Now())) records->key_updates_spent_ = true;
}

int Records::BioRead(BIO* bio, char* out, int length) {
  auto* self = static_cast<Records*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  // Key updates without data in between: stop taking them, the tunnel is closed by whoever asks key_update_flood().
  if (self->fed_length_ == 0 || length <= 0 || self->key_update_flood()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  size_t part = std::min<size_t>(self->fed_length_, static_cast<size_t>(length));
  memcpy(out, self->fed_, part);
  self->fed_ += part;
  self->fed_length_ -= part;
  return static_cast<int>(part);
}

int Records::BioWrite(BIO* bio, const char* data, int length) {
  auto* self = static_cast<Records*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (length <= 0 || !self->output_.Append(reinterpret_cast<const uint8_t*>(data), static_cast<size_t>(length))) {
    return -1;
  }
  return length;
}

long Records::BioControl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BIO_METHOD* Records::Method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "culvert");
    BIO_meth_set_read(made, BioRead);
    BIO_meth_set_write(made, BioWrite);
    BIO_meth_set_ctrl(made, BioControl);
    return made;
  }();
  return method;
}

}  // namespace culvert
