#include "core/messages.h"

#include <limits>

#include "core/fraud.h"
#include "core/message_fields.h"
#include "core/unit_keys.h"
#include "core/votes.h"

namespace tnode {
namespace {

using namespace message_fields;

constexpr std::int64_t max_seq = (std::int64_t{1} << 56) - 1;

/// Reads {unit: item} through `each`, which says whether the item is good.
template <class Each>
void read_units(DictReader& reader, std::size_t most, Each each) {
  for (const auto& [key, item] : reader.dictionary("units", most)) {
    auto unit = unit_of_key(key);
    if (!unit) return reader.refuse(unit.error().message);
    if (!each(*unit, item)) return reader.refuse("unit " + std::to_string(*unit) + " is broken");
  }
}

Value block_list(const std::vector<Bytes>& blocks) {
  List list;
  for (const Bytes& block : blocks) list.emplace_back(block);
  return list;
}
void read_blocks(DictReader& reader, std::size_t most, std::vector<Bytes>& into) {
  for (const auto& block : reader.list("blocks", most)) {
    if (!block.bytes() || block.bytes()->size() > block_bytes) reader.refuse("a block has at most " + std::to_string(block_bytes) + " bytes");
    else into.push_back(*block.bytes());
  }
}

}  // namespace

// --- signed bodies ---

Bytes encode(const Award& a) {
  List units;
  for (UnitNumber u : a.units) units.emplace_back(static_cast<std::int64_t>(u));
  Dict dict;
  dict["award"] = raw(a.award);
  dict["farmer"] = raw(a.farmer);
  dict["hold"] = a.hold;
  dict["lease"] = a.lease_ms;
  dict["offer"] = raw(a.offer);
  dict["price"] = a.price_micro;
  dict["task"] = raw(a.task);
  dict["units"] = std::move(units);
  return bencode::encode(dict);
}

Result<Award> decode_award(std::string_view body) {
  auto value = open(body);
  if (!value) return value.error();
  Award a;
  DictReader r(*value);
  r.id("award", a.award);
  r.id("farmer", a.farmer);
  a.hold = r.bytes("hold", block_bytes);
  a.lease_ms = r.number("lease", 1, max_time);
  r.id("offer", a.offer);
  a.price_micro = r.number("price", 0, max_unit_price_micro);
  r.id("task", a.task);
  for (const auto& item : r.list("units", max_units_per_award)) {
    const auto* n = item.integer();
    if (!n || *n < 0 || *n >= max_units || (!a.units.empty() && *n <= static_cast<std::int64_t>(a.units.back()))) r.refuse("units are not ascending numbers");
    else a.units.push_back(static_cast<UnitNumber>(*n));
  }
  if (a.units.empty()) r.refuse("an award of no units");
  return closed(r, std::move(a), "award", body);
}

Bytes encode(const Commit& c) {
  Dict units, dict;
  for (const auto& [u, hash] : c.units) units[unit_key(u)] = raw(hash);
  dict["award"] = raw(c.award);
  dict["units"] = std::move(units);
  return bencode::encode(dict);
}

Result<Commit> decode_commit(std::string_view body) {
  auto value = open(body);
  if (!value) return value.error();
  Commit c;
  DictReader r(*value);
  r.id("award", c.award);
  read_units(r, max_units_per_award, [&](UnitNumber u, const Value& item) {
    auto hash = item.bytes() ? Hash::from_bytes(*item.bytes()) : Result<Hash>(fail(Code::invalid, ""));
    if (hash) c.units[u] = *hash;
    return hash.ok();
  });
  return closed(r, std::move(c), "commit", body);
}

Bytes encode(const CommitSet& s) {
  Dict units, dict;
  for (const auto& [u, commits] : s.units) {
    Dict by_key;
    for (const auto& [key, hash] : commits) by_key[Bytes(key.view())] = raw(hash);
    units[unit_key(u)] = std::move(by_key);
  }
  dict["award"] = raw(s.award);
  dict["units"] = std::move(units);
  return bencode::encode(dict);
}

Result<CommitSet> decode_commit_set(std::string_view body) {
  auto value = open(body);
  if (!value) return value.error();
  CommitSet s;
  DictReader r(*value);
  r.id("award", s.award);
  read_units(r, max_units_per_award, [&](UnitNumber u, const Value& item) {
    if (!item.dictionary() || item.dictionary()->size() > 64) return false;
    for (const auto& [key, hash_value] : *item.dictionary()) {
      auto node = NodeKey::from_bytes(key);
      auto hash = hash_value.bytes() ? Hash::from_bytes(*hash_value.bytes()) : Result<Hash>(fail(Code::invalid, ""));
      if (!node || !hash) return false;
      s.units[u][*node] = *hash;
    }
    return true;
  });
  return closed(r, std::move(s), "commit set", body);
}

Bytes encode(const Reveal& v) {
  Dict units, dict;
  for (const auto& [u, vote] : v.units) units[unit_key(u)] = vote_value(vote);
  dict["award"] = raw(v.award);
  dict["units"] = std::move(units);
  return bencode::encode(dict);
}

Result<Reveal> decode_reveal(std::string_view body) {
  auto value = open(body);
  if (!value) return value.error();
  Reveal v;
  DictReader r(*value);
  r.id("award", v.award);
  read_units(r, max_units_per_award, [&](UnitNumber u, const Value& item) { return read_vote(item, v.units[u]); });
  return closed(r, std::move(v), "reveal", body);
}

Bytes encode(const Verdict& v) {
  Dict units, dict;
  for (const auto& [u, verdict] : v.units) units[unit_key(u)] = std::int64_t{static_cast<std::uint8_t>(verdict)};
  dict["award"] = raw(v.award);
  dict["block"] = v.block;
  dict["units"] = std::move(units);
  return bencode::encode(dict);
}

Result<Verdict> decode_verdict(std::string_view body) {
  auto value = open(body);
  if (!value) return value.error();
  Verdict v;
  DictReader r(*value);
  r.id("award", v.award);
  v.block = r.bytes("block", block_bytes);
  read_units(r, max_units_per_award, [&](UnitNumber u, const Value& item) {
    const auto* n = item.integer();
    if (!n || *n < 0 || *n > 3) return false;
    v.units[u] = static_cast<UnitVerdict>(*n);
    return true;
  });
  return closed(r, std::move(v), "verdict", body);
}

Bytes encode(const Close& c) { return bencode::encode(Dict{{"offer", raw(c.offer)}}); }

Result<Close> decode_close(std::string_view body) {
  auto value = open(body);
  if (!value) return value.error();
  Close c;
  DictReader r(*value);
  r.id("offer", c.offer);
  return closed(r, std::move(c), "close", body);
}

// --- frames ---

namespace {

Dict signed_frame(const char* type, const Signed& message) {
  Dict dict;
  dict["body"] = message.body;
  dict["sig"] = raw(message.signature);
  dict["t"] = type;
  return dict;
}

struct FrameEncoder {
  Dict operator()(const OfferMessage& m) { return signed_frame("offer", m.offer); }
  Dict operator()(const BidMessage& m) {
    Dict d;
    if (m.bid.cpu_second_micro > 0) d["cpu price"] = m.bid.cpu_second_micro;
    d["limits"] = m.bid.limit_mode;
    d["offer"] = raw(m.bid.offer);
    d["platform"] = m.bid.platform;
    d["price"] = m.bid.price_micro;
    d["queue"] = m.bid.queue;
    d["slots"] = m.bid.slots;
    d["t"] = "bid";
    return d;
  }
  Dict operator()(const AwardMessage& m) { return signed_frame("award", m.award); }
  Dict operator()(const AcceptMessage& m) { return {{"award", raw(m.accept.award)}, {"t", "accept"}}; }
  Dict operator()(const CommitMessage& m) { return signed_frame("commit", m.commit); }
  Dict operator()(const CommitSetMessage& m) { return signed_frame("commit-set", m.commit_set); }
  Dict operator()(const RevealMessage& m) {
    Dict d = signed_frame("reveal", m.reveal), extras;
    for (const auto& [u, extra] : m.beside.extras) extras[unit_key(u)] = extra_value(extra);
    d["units"] = std::move(extras);
    return d;
  }
  Dict operator()(const VerdictMessage& m) { return signed_frame("verdict", m.verdict); }
  Dict operator()(const CreditMessage& m) { return {{"award", raw(m.credit.award)}, {"block", m.credit.block}, {"t", "credit"}}; }
  Dict operator()(const PaymentMessage& m) { return {{"block", m.payment.block}, {"t", "payment"}}; }
  Dict operator()(const FraudMessage& m) { return {{"blocks", block_list(m.fraud.blocks)}, {"t", "fraud"}}; }
  Dict operator()(const AskBlocksMessage& m) { return {{"from", static_cast<std::int64_t>(m.ask.from)}, {"t", "ask-blocks"}}; }
  Dict operator()(const BlocksMessage& m) { return {{"blocks", block_list(m.blocks.blocks)}, {"t", "blocks"}}; }
  Dict operator()(const DoneMessage& m) {
    return {{"bytes", m.done.bytes}, {"certificate", raw(m.done.certificate)}, {"certificate v1", raw(m.done.certificate_v1)}, {"offer", raw(m.done.offer)}, {"result", raw(m.done.result)}, {"t", "done"}, {"v1", raw(m.done.v1_hash)}};
  }
  Dict operator()(const AskCertificateMessage& m) { return {{"result", raw(m.ask.result)}, {"t", "ask-certificate"}}; }
  Dict operator()(const CertificateAtMessage& m) {
    return {{"certificate", raw(m.at.certificate)}, {"certificate v1", raw(m.at.certificate_v1)}, {"result", raw(m.at.result)}, {"t", "certificate"}};
  }
  Dict operator()(const MirroredMessage& m) { return {{"result", raw(m.mirrored.result)}, {"t", "mirrored"}}; }
  Dict operator()(const CloseMessage& m) { return signed_frame("close", m.close); }
  Dict operator()(const RefuseMessage& m) {
    return {{"about", raw(m.refuse.about)}, {"detail", m.refuse.detail.substr(0, 512)}, {"reason", m.refuse.reason}, {"t", "refuse"}};
  }
};

}  // namespace

Bytes encode_message(const Message& message) { return bencode::encode(std::visit(FrameEncoder{}, message)); }

Result<Message> decode_message(std::string_view frame) {
  auto value = open(frame);
  if (!value) return value.error();
  DictReader r(*value);
  const Bytes type = r.bytes("t", 16);
  auto read_signed = [&] {
    Signed s;
    s.body = r.bytes("body", 16 << 10);
    r.fixed("sig", s.signature);
    return s;
  };
  auto done = [&](Message message) -> Result<Message> { return closed(r, std::move(message), type.c_str(), frame, encode_message); };
  if (type == "offer") return done(OfferMessage{read_signed()});
  if (type == "award") return done(AwardMessage{read_signed()});
  if (type == "commit") return done(CommitMessage{read_signed()});
  if (type == "commit-set") return done(CommitSetMessage{read_signed()});
  if (type == "verdict") return done(VerdictMessage{read_signed()});
  if (type == "close") return done(CloseMessage{read_signed()});
  if (type == "reveal") {
    RevealMessage m;
    m.reveal = read_signed();
    read_units(r, max_units_per_award, [&](UnitNumber u, const Value& item) { return read_extra(item, m.beside.extras[u]); });
    return done(std::move(m));
  }
  if (type == "bid") {
    Bid b;
    if (r.has("cpu price")) b.cpu_second_micro = r.number("cpu price", 1, max_unit_price_micro);
    b.limit_mode = r.bytes("limits", 32);
    r.id("offer", b.offer);
    b.platform = r.bytes("platform", 64);
    b.price_micro = r.number("price", 0, max_unit_price_micro);
    b.queue = r.number("queue", 1, 1 << 20);
    b.slots = r.number("slots", 1, 1 << 16);
    return done(BidMessage{std::move(b)});
  }
  if (type == "accept") {
    Accept a;
    r.id("award", a.award);
    return done(AcceptMessage{a});
  }
  if (type == "credit") {
    Credit c;
    r.id("award", c.award);
    c.block = r.bytes("block", block_bytes);
    return done(CreditMessage{std::move(c)});
  }
  if (type == "payment") {
    PaymentNotice p;
    p.block = r.bytes("block", block_bytes);
    return done(PaymentMessage{std::move(p)});
  }
  if (type == "fraud") {
    FraudNotice f;
    read_blocks(r, most_fraud_blocks, f.blocks);
    return done(FraudMessage{std::move(f)});
  }
  if (type == "ask-blocks") {
    AskBlocks a;
    a.from = static_cast<std::uint64_t>(r.number("from", 0, max_seq));
    return done(AskBlocksMessage{a});
  }
  if (type == "blocks") {
    OwnBlocks o;
    read_blocks(r, max_blocks_per_message, o.blocks);
    return done(BlocksMessage{std::move(o)});
  }
  if (type == "done") {
    Done d;
    d.bytes = r.number("bytes", 0, max_bytes);
    r.id("certificate", d.certificate);
    r.fixed("certificate v1", d.certificate_v1);
    r.id("offer", d.offer);
    r.id("result", d.result);
    r.fixed("v1", d.v1_hash);
    return done(DoneMessage{d});
  }
  if (type == "ask-certificate") {
    AskCertificate a;
    r.id("result", a.result);
    return done(AskCertificateMessage{a});
  }
  if (type == "certificate") {
    CertificateAt c;
    r.id("certificate", c.certificate);
    r.fixed("certificate v1", c.certificate_v1);
    r.id("result", c.result);
    return done(CertificateAtMessage{c});
  }
  if (type == "mirrored") {
    Mirrored m;
    r.id("result", m.result);
    return done(MirroredMessage{m});
  }
  if (type == "refuse") {
    Refuse f;
    r.id("about", f.about);
    f.detail = r.bytes("detail", 512);
    f.reason = r.bytes("reason", 64);
    return done(RefuseMessage{std::move(f)});
  }
  return fail(Code::invalid, "unknown message type '" + type + "'");
}

}  // namespace tnode
