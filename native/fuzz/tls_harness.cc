#include "tls_harness.h"

#include <openssl/err.h>

#include "certificates.h"
#include "fixed_random.h"

namespace culvert {

namespace {

constexpr char kOwn[] = "spiffe://cluster.local/ns/shop/sa/own";
constexpr char kPeer[] = "spiffe://cluster.local/ns/shop/sa/peer";

/** Made once: a key costs more than a run. */
struct Identities {
  Identities() {
    FixRandom(1);
    TestAuthority authority;
    TestAuthority other;
    own = Make(authority.Issue(kOwn));
    peer = Make(authority.Issue(kPeer));
    impostor = Make(authority.Issue("spiffe://example.org/ns/shop/sa/peer"));
    IdentityMaterial material = other.Issue(kPeer);
    // It trusts us; we do not trust it.
    material.roots += authority.Issue(kOwn).roots;
    untrusted = Make(material);
  }
  static std::shared_ptr<const Identity> Make(const IdentityMaterial& material) {
    std::string error;
    auto identity = Identity::Make(material, "X25519:P-256", 1, &error);
    Expect(identity != nullptr, "the material is good");
    return identity;
  }
  std::shared_ptr<const Identity> own, peer, impostor, untrusted;
};

const Identities& All() {
  static const Identities* const all = new Identities;
  return *all;
}

}  // namespace

TlsHarness::TlsHarness(ByteSource& script, bool server) : script_(script) {
  const Identities& all = All();
  FixRandom(2);
  PeerRule rule;
  if (server) {
    rule.trust_domains = {"cluster.local"};
  } else {
    rule.expected = {kPeer};
  }
  records_ = std::make_unique<Records>(all.own, server, rule, output_);
  uint8_t who = script_.Byte();
  if (who >= 224) return;
  const auto& identity = who < 192 ? all.peer : who < 208 ? all.impostor : all.untrusted;
  stranger_ = who >= 192;
  peer_.reset(SSL_new(server ? identity->client() : identity->server()));
  // The callbacks of the context are for our own Records; the peer is nobody's.
  SSL_set_verify(peer_.get(), SSL_VERIFY_NONE, [](int, X509_STORE_CTX*) { return 1; });
  SSL_set_bio(peer_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  BIO_set_mem_eof_return(SSL_get_rbio(peer_.get()), -1);
  if (server) {
    SSL_set_connect_state(peer_.get());
  } else {
    SSL_set_accept_state(peer_.get());
  }
}

TlsHarness::~TlsHarness() { ERR_clear_error(); }

void TlsHarness::Run() {
  // A client speaks first.
  Feed("");
  if (peer_ == nullptr) return RunBytes();
  RunPeer();
}

void TlsHarness::RunBytes() {
  while (!script_.done() && !over_) Feed(script_.Bytes(1 + script_.Size(1000)));
  Expect(!records_->handshaken(), "no handshake without a peer");
}

void TlsHarness::RunPeer() {
  for (int i = 0; i < 200 && !over_ && (i < 8 || !script_.done()); ++i) {
    BIO_write(SSL_get_rbio(peer_.get()), output_.data(), static_cast<int>(output_.size()));
    output_.Consume(output_.size());
    if (SSL_is_init_finished(peer_.get()) == 0) {
      SSL_do_handshake(peer_.get());
    } else {
      PeerActs();
    }
    ERR_clear_error();
    Carry();
  }
  records_->Shutdown();
}

void TlsHarness::PeerActs() {
  uint8_t what = script_.Byte();
  char taken[4096];
  SSL_read(peer_.get(), taken, sizeof taken);
  switch (what % 8) {
    case 0:
    case 1: {
      std::string data(script_.Size(40000), static_cast<char>(what));
      if (!data.empty() && SSL_write(peer_.get(), data.data(), static_cast<int>(data.size())) > 0) written_ += data;
      break;
    }
    case 2:
    case 3:
      for (int times = what / 16; times >= 0; --times) {
        SSL_key_update(peer_.get(), (what & 8) != 0 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
        SSL_do_handshake(peer_.get());
      }
      break;
    case 4:
      if (what < 64) SSL_shutdown(peer_.get());
      break;
    default:
      if (records_->handshaken() && records_->error().empty()) {
        std::string data(1 + script_.Size(40000), 'o');
        Expect(records_->Write(reinterpret_cast<const uint8_t*>(data.data()), data.size()), "a healthy tunnel takes data");
      }
  }
}

void TlsHarness::Carry() {
  char* all = nullptr;
  BIO* bio = SSL_get_wbio(peer_.get());
  long length = BIO_get_mem_data(bio, &all);
  std::string data(all, static_cast<size_t>(length));
  BIO_reset(bio);
  uint8_t damage = script_.Byte();
  if (!data.empty() && damage >= 224) {
    damaged_ = true;
    size_t at = script_.Below(data.size());
    if (damage < 232) data[at] = static_cast<char>(data[at] ^ (1 + script_.Byte() % 255));
    if (damage >= 232 && damage < 240) data.insert(at, script_.Bytes(script_.Size(300)));
    if (damage >= 240 && damage < 248) data.erase(at, 1 + script_.Size(500));
    if (damage >= 248) data += data;
  }
  while (!data.empty() && !over_) {
    size_t piece = damage < 128 ? data.size() : 1 + script_.Size(data.size() - 1);
    Feed(data.substr(0, piece));
    data.erase(0, piece);
  }
}

/** As a tunnel does it. */
void TlsHarness::Feed(const std::string& data) {
  if (over_) return;
  std::string exact(data.data(), data.size());
  records_->Feed(reinterpret_cast<const uint8_t*>(exact.data()), exact.size());
  if (!records_->handshaken()) {
    Records::Status status = records_->Handshake();
    if (status == Records::Status::kFailed) {
      Expect(!records_->error().empty(), "a failed handshake says why");
      over_ = true;
    }
    if (status != Records::Status::kOk) return;
    Expect(!stranger_ && records_->peer_identity() == kPeer, "only whom the rule admits is let in");
  }
  static uint8_t plain[65536];
  while (true) {
    size_t length = 0;
    Records::Status status = records_->Read(plain, sizeof plain, &length);
    if (status == Records::Status::kOk) {
      Expect(received_ + length <= written_.size() && written_.compare(received_, length,
                 reinterpret_cast<char*>(plain), length) == 0, "what comes out is what went in");
      received_ += length;
      continue;
    }
    over_ = status != Records::Status::kWant || records_->key_update_flood();
    if (status == Records::Status::kFailed) Expect(damaged_ || stranger_, "a healthy peer is understood");
    return;
  }
}

}  // namespace culvert
