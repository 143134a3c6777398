// What names and signs the bodies of messages.h, apart from their encoding.
#include "core/bencode.h"
#include "core/messages.h"

namespace tnode {

OfferId offer_id(std::string_view offer_body) { return rename_id<OfferId>(domain_hash("offer-id", offer_body)); }

Signed sign_body(const KeyPair& key, std::string_view domain, Bytes body) {
  Signed s;
  s.signature = key.sign(domain, body);
  s.body = std::move(body);
  return s;
}

bool verify_body(const NodeKey& key, std::string_view domain, const Signed& signed_body) { return verify(key, domain, signed_body.body, signed_body.signature); }

Hash award_ref(const TaskId& task, const std::vector<UnitNumber>& units, const AwardId& award) {
  bencode::Dictionary dict;
  bencode::List list;
  for (UnitNumber u : units) list.emplace_back(static_cast<std::int64_t>(u));
  dict["award"] = award.view();
  dict["task"] = task.view();
  dict["units"] = std::move(list);
  return domain_hash("award-ref", bencode::encode(dict));
}

}  // namespace tnode
