// Money that no role of the node looks after: receipts for what was paid, payments outside of a task, proofs of fraud.
#include <algorithm>

#include "cli/farmer_role.h"
#include "cli/node.h"
#include "cli/requester_role.h"

namespace tnode {

void Node::take_credit(const NodeKey& from, const Credit& credit) {
  auto block = decode_block(credit.block);
  auto refuse = [&](const std::string& why) {
    carry(Send{from, RefuseMessage{Refuse{rename_id<Hash>(credit.award), "bad_block", why}}});
  };
  if (!block) return refuse(block.error().message);
  // Before any signature is looked at: one that nobody waits for, or that came before, is passed over.
  const auto debts = unclaimed_.find(from);
  if (debts == unclaimed_.end() || !debts->second.count(credit.award)) return;
  if (block->type != BlockType::credit || block->key != from || block->counterparty != key().key() || !verify_block(*block))
    return refuse("it is not the sender's CREDIT on a DEBIT of ours");
  if (auto kept = writing().keep_foreign(*block); !kept) return kept.error().code == Code::io ? give_up(kept.error()) : refuse(kept.error().message);
  debts->second.erase(credit.award);
  if (debts->second.empty()) unclaimed_.erase(debts);
  carry(Erase{"unclaimed", Bytes(from.view()) + Bytes(credit.award.view())});
}

Result<Block> Node::pay(const Payment& payment) {
  const Hash ref = payment_ref(payment);
  auto debit = writing().pay(payment.payee, ref, payment.amount, now_);
  if (!debit) {
    if (debit.error().code == Code::io) give_up(debit.error());
    else carry(Save{payment_refused_bucket, Bytes(ref.view()), debit.error().message});  // whoever asked from another process reads it
    return debit;
  }
  we_paid(*debit);
  // Kept until the CREDIT comes, also across runs, and said whenever the payee is met.
  const PaymentMessage notice{{encode_block(*debit)}};
  carry(Save{"unclaimed", Bytes(payment.payee.view()) + Bytes(ref.view()), encode_message(notice)});
  carry(Send{payment.payee, notice});
  return debit;
}

/// A payment whose receipt never came is said again when its payee is met, and now and then while it is here: it takes only so many at a time.
void Node::say_unclaimed_to(const NodeKey& peer) {
  auto debts = unclaimed_.find(peer);
  if (debts == unclaimed_.end()) return;
  std::size_t left = most_unclaimed_said;
  for (const auto& [award, frame] : debts->second) {
    if (left-- == 0) return;
    after_commit([this, peer, bytes = frame] { swarm_->send(peer, bytes); });
  }
}

void Node::say_unclaimed() {
  for (const NodeKey& peer : peers_up_) say_unclaimed_to(peer);
  later(unclaimed_again_ms, [this] { say_unclaimed(); });
}

void Node::we_paid(const Block& debit) {
  if (farmer_) farmer_->hear(WePaid{encode_block(debit)});
}

void Node::take_payment(const NodeKey& from, const PaymentNotice& notice) {
  auto block = decode_block(notice.block);
  auto refuse = [&](const std::string& why) {
    carry(Send{from, RefuseMessage{Refuse{block ? block->ref : Hash{}, "bad_block", why}}});
  };
  if (!block) return refuse(block.error().message);
  if (block->type != BlockType::debit || block->key != from || block->counterparty != key().key()) return refuse("it is not the sender's DEBIT made out to us");
  if (!limits_.payment(from, now_)) return;  // it is said again when we meet again
  // A DEBIT is booked once, however often it is said.
  auto credit = writing().credit(*block, now_);
  if (!credit) return credit.error().code == Code::io ? give_up(credit.error()) : refuse(credit.error().message);
  carry(Send{from, CreditMessage{Credit{rename_id<AwardId>(block->ref), encode_block(*credit)}}});
}

// --- proofs of fraud ---

void Node::hear_caught(const NodeKey& key, const std::string& rule) {
  if (!caught_.emplace(key, rule).second) return;
  if (farmer_) farmer_->hear(KeyCaught{key, rule});
  for (auto& requester : requesters_) requester->hear(KeyCaught{key, rule});
  if (problem_) problem_("node " + to_hex(key) + " is refused from now on: it " + rule);
}

/// What the store found since the last look, whoever brought it: told to all who are here, and to the roles. True when there was any.
bool Node::tell_frauds() {
  const auto keys = store_->take_newly_caught();
  for (const NodeKey& key : keys) {
    auto fraud = store_->fraud_of(key);
    if (!fraud) continue;
    FraudMessage message;
    for (const Block& block : fraud->blocks) message.fraud.blocks.push_back(encode_block(block));
    for (const NodeKey& peer : peers_up_)
      if (peer != key) carry(Send{peer, message});
    hear_caught(key, fraud->rule);
  }
  return !keys.empty();
}

void Node::tell_frauds_to(const NodeKey& peer) {
  auto frauds = store_->frauds();
  const std::size_t first = frauds.size() > most_frauds_told ? frauds.size() - most_frauds_told : 0;
  for (std::size_t i = first; i < frauds.size(); ++i) {
    if (frauds[i].key == peer) continue;
    FraudMessage message;
    for (const Block& block : frauds[i].blocks) message.fraud.blocks.push_back(encode_block(block));
    carry(Send{peer, message});
  }
}

void Node::take_fraud(const NodeKey& from, const FraudNotice& notice) {
  if (!limits_.proof(from, now_)) return;  // an honest one tells of it again when it is met again
  auto fraud = check_fraud(notice.blocks);
  if (!fraud) return refuse_false_proof(from, fraud.error().message);
  if (fraud->key == key().key()) {
    if (problem_) problem_("node " + short_hex(from) + " has proof that this node's key " + fraud->rule + ": was an old store put back? Others will refuse this key");
    return;
  }
  if (caught_.count(fraud->key) || caught_.size() >= most_caught) return;
  const bool stranger = store_->known_of(fraud->key).blocks == 0 && std::find(peers_up_.begin(), peers_up_.end(), fraud->key) == peers_up_.end();
  if (!stranger || limits_.strangers_proof(now_)) take_proof(*fraud);
}

void Node::take_proof(const Fraud& fraud) {
  if (auto kept = writing().keep_proof(fraud); !kept && kept.error().code == Code::io) give_up(kept.error());
}

/// Whoever accuses without proof is refused instead; the accused is not touched.
void Node::refuse_false_proof(const NodeKey& from, const std::string& problem) {
  carry(Send{from, RefuseMessage{Refuse{Hash{}, "false_proof", problem}}});
  after_commit([this, from] { swarm_->ban(from); });
  if (caught_.count(from) || caught_.size() >= most_caught) return;
  const std::string why = "handed over a proof of fraud that proves nothing: " + problem;
  carry(Save{false_proof_bucket, Bytes(from.view()), why});
  hear_caught(from, why);
}

}  // namespace tnode
