#include "core/addressee.h"

namespace tnode {
namespace {

constexpr Addressee to_farmer{.farmer = true}, to_requesters{.every_requester = true}, to_node{.node = true};

Addressee to_owner(const AwardId& award) { return {.award = award}; }

/// A body that cannot be read names no award: each requester says for itself that it cannot.
template <class Body>
Addressee to_owner(const Result<Body>& body) {
  return body ? to_owner(body->award) : to_requesters;
}

struct Visitor {
  Addressee operator()(const AcceptMessage& m) const { return to_owner(AwardId(m.accept.award)); }
  Addressee operator()(const CommitMessage& m) const { return to_owner(decode_commit(m.commit.body)); }
  Addressee operator()(const RevealMessage& m) const { return to_owner(decode_reveal(m.reveal.body)); }
  Addressee operator()(const CreditMessage&) const { return {.every_requester = true, .node = true}; }
  Addressee operator()(const BidMessage&) const { return to_requesters; }
  Addressee operator()(const MirroredMessage&) const { return to_requesters; }
  Addressee operator()(const RefuseMessage&) const { return {.farmer = true, .every_requester = true}; }
  Addressee operator()(const PaymentMessage&) const { return to_node; }
  Addressee operator()(const FraudMessage&) const { return to_node; }
  Addressee operator()(const AskCertificateMessage&) const { return to_node; }
  Addressee operator()(const AskBlocksMessage&) const { return to_node; }
  Addressee operator()(const BlocksMessage&) const { return to_node; }
  Addressee operator()(const OfferMessage&) const { return to_farmer; }
  Addressee operator()(const AwardMessage&) const { return to_farmer; }
  Addressee operator()(const CommitSetMessage&) const { return to_farmer; }
  Addressee operator()(const VerdictMessage&) const { return to_farmer; }
  Addressee operator()(const DoneMessage&) const { return to_farmer; }
  Addressee operator()(const CloseMessage&) const { return to_farmer; }
  Addressee operator()(const CertificateAtMessage&) const { return to_farmer; }
};

}  // namespace

Addressee addressee_of(const Message& message) { return std::visit(Visitor{}, message); }

}  // namespace tnode
