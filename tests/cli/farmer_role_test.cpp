// What a farmer's ledger takes from strangers.
#include "cli/farmer_role.h"

#include "cli/node.h"
#include "cli/requester_role.h"
#include "tests/catch.h"
#include "tests/temp_dir.h"

using namespace tnode;

namespace {

struct FarmingNode {
  TempDir home;
  std::unique_ptr<Node> node;
  KeyPair stranger = KeyPair::from_seed(Seed{1});

  FarmingNode() {
    NodeOptions options;
    options.home = *Home::find(home.path);
    options.swarm.listen = "127.0.0.1:0";
    auto started = Node::start(options, nullptr);
    REQUIRE(started.ok());
    node = std::move(*started);
    FarmerRoleOptions role;
    node->add(std::make_unique<FarmerRole>(*node, role, nullptr));
  }
  /// Hears these, one turn each, and leaves.
  void hear(const std::vector<Message>& messages) {
    node->post([this, messages] {
      for (const Message& message : messages) {
        node->farmer()->hear(MessageCame{stranger.key(), message});
        node->farmer()->step();
      }
      node->leave();
    });
    REQUIRE(node->run().ok());
  }
  Block block(BlockType type, const Hash& ref, Micro amount) const {
    Block block;
    block.type = type;
    block.seq = 1;
    block.key = stranger.key();
    block.counterparty = node->key().key();
    block.ref = ref;
    block.amount = amount;
    return block;
  }
};

}  // namespace

TEST_CASE("a_payment_is_booked_for_an_award_that_was_taken_and_for_no_more_than_it_promised") {
  FarmingNode f;
  Offer offer;
  offer.requester = f.stranger.key();
  offer.max_price_micro = credit_micro;
  offer.expires_ms = wall_clock_ms() + 3'600'000;
  offer.run_ms = 1'000;
  Award award{offer_id(encode(offer)), {}, offer.task, f.node->key().key(), {0}, credit_micro, 60'000, {}};
  const Hash ref = award_ref(offer.task, award.units, award.award);
  Block hold = f.block(BlockType::hold, ref, credit_micro);
  hold.held = credit_micro;
  sign_block(hold, f.stranger);
  award.hold = encode_block(hold);

  const bool taken = GENERATE(true, false);
  const Micro amount = GENERATE(credit_micro, 20'000 * credit_micro);
  Block debit = f.block(BlockType::debit, ref, amount);
  debit.seq = hold.seq + 1;
  debit.prev = debit.link = block_id(hold);
  debit.balance = -amount;
  sign_block(debit, f.stranger);
  std::vector<Message> messages;
  if (taken) messages = {OfferMessage{sign_body(f.stranger, offer_domain, encode(offer))}, AwardMessage{sign_body(f.stranger, award_domain, encode(award))}};
  messages.push_back(VerdictMessage{sign_body(f.stranger, verdict_domain, encode(Verdict{award.award, {{0, UnitVerdict::accepted}}, encode_block(debit)}))});
  f.hear(messages);
  // Booked without an award it would make us owed more than we let anyone owe us: no work would be taken again.
  CHECK(f.node->store().balance().balance_micro == (taken && amount == credit_micro ? credit_micro : 0));
}
