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

TEST_CASE("a_payment_for_no_award_of_ours_is_not_booked") {
  FarmingNode f;
  // Booked, it would make us owed more than we let anyone owe us: no work would be taken again.
  Block debit = f.block(BlockType::debit, Hash{}, 20'000 * credit_micro);
  debit.balance = -debit.amount;
  sign_block(debit, f.stranger);
  AwardId award;
  f.hear({VerdictMessage{sign_body(f.stranger, verdict_domain, encode(Verdict{award, {}, encode_block(debit)}))}});
  CHECK(f.node->store().balance().balance_micro == 0);
}
