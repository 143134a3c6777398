// Money that no role of the node looks after: receipts for what was paid, and payments outside of a task.
#include "cli/node.h"

namespace tnode {

void Node::take_credit(const NodeKey& from, const Credit& credit) {
  auto block = decode_block(credit.block);
  auto refuse = [&](const std::string& why) {
    carry(Send{from, RefuseMessage{Refuse{rename_id<Hash>(credit.award), "bad_block", why}}});
  };
  if (!block) return refuse(block.error().message);
  if (block->type != BlockType::credit || block->key != from || block->counterparty != key().key() || !verify_block(*block))
    return refuse("it is not the sender's CREDIT on a DEBIT of ours");
  if (auto kept = writing().keep_foreign(*block); !kept) return kept.error().code == Code::io ? give_up(kept.error()) : refuse(kept.error().message);
  if (auto debts = unclaimed_.find(from); debts != unclaimed_.end()) {
    debts->second.erase(credit.award);
    if (debts->second.empty()) unclaimed_.erase(debts);
  }
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
  // Kept until the CREDIT comes, also across runs, and said whenever the payee is met.
  const PaymentMessage notice{{encode_block(*debit)}};
  carry(Save{"unclaimed", Bytes(payment.payee.view()) + Bytes(ref.view()), encode_message(notice)});
  carry(Send{payment.payee, notice});
  return debit;
}

void Node::take_payment(const NodeKey& from, const PaymentNotice& notice) {
  auto block = decode_block(notice.block);
  auto refuse = [&](const std::string& why) {
    carry(Send{from, RefuseMessage{Refuse{block ? block->ref : Hash{}, "bad_block", why}}});
  };
  if (!block) return refuse(block.error().message);
  if (block->type != BlockType::debit || block->key != from || block->counterparty != key().key()) return refuse("it is not the sender's DEBIT made out to us");
  // A DEBIT is booked once, however often it is said.
  auto credit = writing().credit(*block, now_);
  if (!credit) return credit.error().code == Code::io ? give_up(credit.error()) : refuse(credit.error().message);
  carry(Send{from, CreditMessage{Credit{rename_id<AwardId>(block->ref), encode_block(*credit)}}});
}

}  // namespace tnode
