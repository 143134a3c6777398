#include "tests/sim/laws.h"

#include <algorithm>

#include "tests/sim/world.h"
#include "tests/sim/sim_node.h"

namespace tnode::sim {
namespace {

std::string field(const Note& note, const std::string& name) {
  for (const auto& [key, value] : note.fields)
    if (key == name) return value;
  throw Violation("a note '" + note.what + "' without " + name);
}

std::vector<NodeKey> keys_of(const std::string& list) {
  std::vector<NodeKey> keys;
  for (std::size_t at = 0; at + 64 <= list.size(); at += 65) keys.push_back(*NodeKey::from_bytes(*from_hex(list.substr(at, 64))));
  return keys;
}

}  // namespace

// --- votes ---

/// A wrong answer stands only where `agree` nodes lied alike.
void Laws::note(const SimNode&, const SimTask& task, const Note& note) {
  if (note.what != "accepted") return;
  const auto unit = static_cast<UnitNumber>(std::stoul(field(note, "unit")));
  const auto farmers = keys_of(field(note, "farmers"));
  demand(std::set<NodeKey>(farmers.begin(), farmers.end()).size() == farmers.size(), "each farmer votes once on a unit");
  demand(static_cast<std::int64_t>(farmers.size()) >= (task.offer.adaptive ? 1 : task.offer.agree), "a result is accepted by at least `agree` farmers");
  const RunOfUnit right = truth(task, unit);
  const bool is_right = field(note, "result_id") == to_hex(right.result) && field(note, "exit_code") == std::to_string(right.outcome.exit_code);
  for (const NodeKey& farmer : farmers) {
    const bool lied = !world_.node(farmer)->honest();
    demand(is_right || lied, "an honest farmer is named for a wrong answer to unit " + std::to_string(unit));
  }
}

void Laws::message_leaves(const SimNode& from, const NodeKey&, const Message& message) {
  if (auto* set = std::get_if<CommitSetMessage>(&message)) {
    auto body = decode_commit_set(set->commit_set.body);
    for (const auto& [unit, commits] : body->units) asked_.insert({body->award, unit});
  }
  if (!from.honest()) return;
  if (auto* commit = std::get_if<CommitMessage>(&message)) commit_leaves(*decode_commit(commit->commit.body));
  if (auto* reveal = std::get_if<RevealMessage>(&message)) reveal_leaves(*decode_reveal(reveal->reveal.body));
}

void Laws::commit_leaves(const Commit& commit) {
  for (const auto& [unit, hash] : commit.units) {
    auto [first, fresh] = commits_.emplace(std::pair(commit.award, unit), hash);
    demand(fresh || first->second == hash, "a farmer commits to one vote for a unit of a lease, also after a crash");
  }
}

void Laws::lease_over(const Bytes& award) {
  std::erase_if(commits_, [&](const auto& entry) { return entry.first.first.view() == award; });
}

void Laws::reveal_leaves(const Reveal& reveal) {
  for (const auto& [unit, vote] : reveal.units) {
    demand(asked_.count({reveal.award, unit}) != 0, "no vote is shown before the commit set was sent");
    const Hash known = domain_hash("nonce", Bytes(reveal.award.view()) + std::to_string(unit));
    demand(vote.nonce != known && !vote.nonce.is_zero(), "a nonce that everyone can compute hides nothing");
    auto [first, fresh] = nonces_.emplace(vote.nonce, std::pair(reveal.award, unit));
    demand(fresh || first->second == std::pair(reveal.award, unit), "a nonce is used for one vote");
  }
}

// --- money ---

void Laws::money() {
  Micro sum = 0;
  std::map<BlockId, const Block*> debits, credits;
  for (const auto& node : world_.nodes()) {
    Micro balance = 0;
    std::map<Hash, Micro> open;
    std::set<Hash> held, paid;
    for (const Block& block : node->ledger().chain()) {
      const std::string name = std::string(block_word(block.type)) + " block " + std::to_string(block.seq);
      switch (block.type) {
        case BlockType::hold:
          demand(held.insert(block.ref).second, name + " holds twice for one award");
          open[block.ref] = block.amount;
          break;
        case BlockType::debit:
          demand(paid.insert(block.ref).second, name + " pays twice for one award");
          demand(open.count(block.ref) && block.amount <= open[block.ref], name + " pays more than was held");
          open.erase(block.ref);
          balance -= block.amount;
          debits[block_id(block)] = &block;
          break;
        case BlockType::release:
          demand(open.erase(block.ref) == 1, name + " gives back what was not held");
          break;
        case BlockType::credit:
          balance += block.amount;
          demand(credits.emplace(block.link, &block).second, name + " books a DEBIT twice");
          break;
        case BlockType::genesis:
        case BlockType::checkpoint: break;
      }
      Micro held_now = 0;
      for (const auto& [ref, amount] : open) held_now += amount;
      demand(block.held == held_now && block.balance == balance, name + " does not add up");
      demand(block.type != BlockType::hold || balance - held_now >= -node->terms().line_micro, name + " goes below the line");
    }
    sum += balance;
  }
  for (const auto& [id, credit] : credits) {
    auto debit = debits.find(id);
    demand(debit != debits.end(), "a CREDIT without a durable DEBIT");
    demand(debit->second->amount == credit->amount && debit->second->counterparty == credit->key && debit->second->key == credit->counterparty, "a CREDIT says what its DEBIT says");
  }
  for (const auto& [id, debit] : debits)
    if (!credits.count(id)) sum += debit->amount;
  demand(sum == 0, "balances and unclaimed DEBITs add up to " + std::to_string(sum) + ", not to zero");
}

void Laws::settled() {
  money();
  std::set<BlockId> credited;
  for (const auto& node : world_.nodes())
    for (const Block& block : node->ledger().chain())
      if (block.type == BlockType::credit) credited.insert(block.link);
  for (const auto& node : world_.nodes()) {
    const auto& chain = node->ledger().chain();
    demand(chain.back().held == 0, "a hold outlived its task: " + std::to_string(chain.back().held) + " micro-credits");
    std::map<NodeKey, Micro> paid, owed;
    for (const Block& block : chain)
      if (block.type == BlockType::debit) {
        paid[block.counterparty] += block.amount;
        demand(credited.count(block_id(block)) != 0, "a DEBIT was never credited");
      }
    // A unit's record: result 32, v1 20, outcome 2, then the keys of those who agreed.
    for (const auto& [place, value] : node->ledger().records()) {
      if (place.first != "unit") continue;
      for (std::size_t at = 54; at + 32 <= value.size(); at += 32) {
        auto farmer = NodeKey::from_bytes(value.substr(at, 32));
        owed[*farmer] += world_.node(*farmer)->terms().price_micro;
      }
    }
    for (const auto& each : world_.nodes())
      demand(paid[each->key()] == owed[each->key()], "a farmer agreed for " + std::to_string(owed[each->key()]) + " micro-credits and was paid " + std::to_string(paid[each->key()]));
    demand(!node->honest() || !node->farmer() || node->farmer()->idle(), "node " + std::to_string(node->number()) + " holds a lease although all is over");
    for (const auto& [place, value] : node->ledger().records())
      demand(place.first != "award" && place.first != "unclaimed", "a record of bucket '" + place.first + "' outlived its task");
  }
}

}  // namespace tnode::sim
