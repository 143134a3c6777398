// An audit of a chain that is published as a real one is, over a net that is played: what is fetched, what is checked, what is proved.
#include "cli/chain_audit.h"

#include <filesystem>

#include "cli/bundle_disk.h"
#include "tests/catch.h"
#include "tests/keys.h"
#include "tests/temp_dir.h"

using namespace tnode;
namespace fs = std::filesystem;

namespace {

const KeyPair alice = key_of(1), bob = key_of(2);

/// A chain of Alice's that holds and releases, with a CHECKPOINT at the end of each segment.
struct Story {
  std::vector<Block> blocks;

  void grow(std::size_t to, const std::string& awards) {
    while (blocks.size() < to) {
      Block block;
      block.key = alice.key();
      block.seq = blocks.size();
      block.time_ms = 1000 + static_cast<TimeMs>(block.seq);
      Chain before;
      if (blocks.empty()) {
        block.type = BlockType::genesis;
        block.amount = 1'000'000;
      } else {
        const Block& last = blocks.back();
        block.prev = block_id(last);
        block.held = last.held;
        block.balance = last.balance;
        if (ends_segment(block.seq)) block.type = BlockType::checkpoint;
        else if (open_) {
          block.type = BlockType::release;
          block.counterparty = bob.key();
          block.ref = open_->ref;
          block.link = block_id(*open_);
          block.amount = open_->amount;
          block.held -= open_->amount;
        } else {
          block.type = BlockType::hold;
          block.counterparty = bob.key();
          block.ref = sha256(awards + std::to_string(block.seq));
          block.amount = 10;
          block.held += 10;
        }
      }
      if (block.type == BlockType::checkpoint && open_) block.evidence = open_holds_digest({{open_->ref, OpenHold{block_id(*open_), open_->counterparty, open_->amount, open_->expiry_ms}}});
      sign_block(block, alice);
      if (block.type == BlockType::hold) open_ = block;
      if (block.type == BlockType::release) open_.reset();
      blocks.push_back(block);
    }
  }

 private:
  std::optional<Block> open_;
};

/// Who has published what, and a home that looks at it.
struct Net {
  TempDir publisher_dir, home_dir;
  Home publisher = *Home::find(publisher_dir.path), home = *Home::find(home_dir.path);
  std::optional<PublishedHead> head;
  std::vector<std::function<void()>> timers;

  void publish(const std::vector<Block>& blocks) {
    BundleAt previous;
    for (std::size_t first = 0; first < blocks.size(); first += segment_blocks) {
      Bytes text;
      const std::size_t end = std::min(blocks.size(), first + segment_blocks);
      for (std::size_t i = first; i < end; ++i) text += encode_block(blocks[i]);
      auto kept = keep_segment(publisher, {alice.key(), first, previous}, text, {});
      REQUIRE(kept.ok());
      previous = {kept->torrent.v2_hash, kept->torrent.v1_hash};
    }
    head = PublishedHead{blocks.back(), previous};
  }

  struct Outcome { Result<AuditedChain> chain; std::optional<Fraud> fraud; };
  Outcome audit(std::vector<Block> evidence = {}) {
    std::optional<Outcome> outcome;
    std::vector<NodeKey> asked;
    AuditPorts ports;
    ports.find_head = [&](const NodeKey& key) { asked.push_back(key); };
    ports.later = [&](TimeMs, std::function<void()> action) { timers.push_back(std::move(action)); };
    ports.work = [](std::function<std::function<void()>()> job) { job()(); };
    ports.fetch = [&](const FetchTorrent& request, auto end) {
      auto bundle = find_bundle(publisher.segment_dir(request.v2_hash));
      if (!bundle) return end(nullptr, "nobody has it");
      fs::copy(bundle->dir(), request.parent_dir + "/" + bundle->torrent.name, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
      const FetchDone done{request.v2_hash, bundle->torrent, request.parent_dir, 1};
      end(&done, "");
    };
    AuditRequest request;
    request.key = alice.key();
    request.evidence = std::move(evidence);
    auto running = ChainAudit::begin(home, std::move(request), std::move(ports), [&](Result<AuditedChain> chain, std::optional<Fraud> fraud) { outcome = Outcome{std::move(chain), std::move(fraud)}; });
    REQUIRE(asked == std::vector<NodeKey>{alice.key()});
    if (head) running->heard({alice.key(), head_salt, static_cast<std::int64_t>(head->block.seq) + 1, encode_published_head(*head), true});
    // What is due later is due now; what it brings about is for the next audit.
    for (auto& action : std::exchange(timers, {})) action();
    timers.clear();
    REQUIRE(outcome);
    return std::move(*outcome);
  }
};

}  // namespace

TEST_CASE("an_audit_fetches_and_checks_what_is_new_and_reads_nothing_else") {
  Net net;
  Story story;
  story.grow(2'500, "a");
  net.publish(story.blocks);
  auto first = net.audit();
  REQUIRE(first.chain.ok());
  CHECK(first.chain->fetched == 3);
  CHECK(first.chain->report.signatures == 2'500);
  CHECK(first.chain->report.chain.blocks() == 2'500);
  story.grow(2'600, "a");
  net.publish(story.blocks);
  auto second = net.audit();
  REQUIRE(second.chain.ok());
  CHECK(second.chain->bundles == 1);  // only the open segment was looked at
  CHECK(second.chain->fetched == 1);
  CHECK_FALSE(second.chain->over.is_zero());
  CHECK(second.chain->report.signatures == 100);
  CHECK(second.chain->report.first == 2 * segment_blocks);
  CHECK(second.chain->report.chain.blocks() == 2'600);
  CHECK(second.chain->report.chain.head()->held == story.blocks.back().held);
  // Bundles that were verified need not be here any more.
  for (const auto& entry : fs::directory_iterator(net.home.dir() + "/chains"))
    if (entry.is_directory()) fs::remove_all(entry.path());
  story.grow(3'500, "a");
  net.publish(story.blocks);
  auto third = net.audit();
  REQUIRE(third.chain.ok());
  CHECK(third.chain->fetched == 2);
  CHECK(third.chain->report.signatures == 900);
}

TEST_CASE("a_chain_that_leaves_what_was_verified_before_proves_its_fork_however_far_back") {
  for (const std::size_t common : {100u, 1'100u, 2'200u}) {
    Net net;
    Story story, other;
    story.grow(2'300, "a");
    net.publish(story.blocks);
    REQUIRE(net.audit().chain.ok());
    other.grow(common, "a");
    other.grow(2'400, "b");
    net.publish(other.blocks);
    auto outcome = net.audit();
    CHECK_FALSE(outcome.chain.ok());
    REQUIRE(outcome.fraud);
    CHECK(outcome.fraud->key == alice.key());
    CHECK(outcome.fraud->blocks.size() >= 2);
    std::vector<Bytes> proof;
    for (const Block& block : outcome.fraud->blocks) proof.push_back(encode_block(block));
    CHECK(check_fraud(proof).ok());
    // What held before is what the next audit begins with.
    net.publish(story.blocks);
    CHECK(net.audit().chain.ok());
  }
}

TEST_CASE("a_block_from_elsewhere_that_the_published_chain_lacks_is_a_proof_wherever_it_stands") {
  Story story, other;
  story.grow(2'300, "a");
  for (std::size_t place : {50u, 1'500u, 2'250u})
    for (const bool audited_before : {false, true}) {
      while (story.blocks[place].type != BlockType::hold) ++place;
      Net net;
      net.publish(story.blocks);
      if (audited_before) REQUIRE(net.audit({story.blocks[place]}).chain.ok());
      Story fork;
      fork.grow(place, "a");
      fork.grow(place + 2, "b");
      auto outcome = net.audit({fork.blocks[place]});
      CHECK_FALSE(outcome.chain.ok());
      REQUIRE(outcome.fraud);
      CHECK(outcome.fraud->rule.find("two blocks with seq " + std::to_string(place)) != std::string::npos);
    }
}

TEST_CASE("a_head_without_its_bundles_and_no_head_at_all_are_told_apart_from_what_is_wrong") {
  Net net;
  CHECK(net.audit().chain.error().code == Code::timeout);
  Story story;
  story.grow(10, "a");
  net.publish(story.blocks);
  fs::remove_all(net.publisher.segment_dir(net.head->newest.v2));
  auto lost = net.audit();
  CHECK(lost.chain.error().code == Code::timeout);
  CHECK_FALSE(lost.fraud);
  CHECK(fs::is_empty(net.home.dir() + "/chains"));
  // Signed by another in Alice's name.
  Story forged = story;
  sign_block(forged.blocks[5], bob);
  net.publish(forged.blocks);
  auto wrong = net.audit();
  CHECK(wrong.chain.error().code == Code::invalid);
  CHECK_FALSE(wrong.fraud);
}

TEST_CASE("an_older_head_takes_nothing_back") {
  Net net;
  Story story;
  story.grow(1'500, "a");
  net.publish(story.blocks);
  const auto older = net.head;
  story.grow(2'500, "a");
  net.publish(story.blocks);
  REQUIRE(net.audit().chain.ok());
  const auto newest = net.head;
  net.publish({story.blocks.begin(), story.blocks.begin() + 1'500});
  REQUIRE(net.head->newest == older->newest);
  auto stale = net.audit();
  REQUIRE(stale.chain.ok());
  CHECK(stale.chain->report.chain.blocks() == 1'500);
  net.head = newest;
  auto again = net.audit();
  REQUIRE(again.chain.ok());
  CHECK(again.chain->report.signatures == 0);
}

TEST_CASE("an_audit_that_is_given_up_ends_once_and_fetches_no_further") {
  Net net;
  Story story;
  story.grow(3'000, "a");
  net.publish(story.blocks);
  std::vector<std::pair<FetchTorrent, std::function<void(const FetchDone*, const std::string&)>>> asked;
  int ended = 0;
  AuditPorts ports;
  ports.find_head = [](const NodeKey&) {};
  ports.later = [&](TimeMs, std::function<void()> action) { net.timers.push_back(std::move(action)); };
  ports.work = [](const std::function<std::function<void()>()>&) { FAIL("nothing is to be verified"); };
  ports.fetch = [&](const FetchTorrent& request, auto end) { asked.emplace_back(request, end); };
  AuditRequest request;
  request.key = alice.key();
  auto audit = ChainAudit::begin(net.home, std::move(request), std::move(ports), [&](const Result<AuditedChain>& chain, const std::optional<Fraud>&) {
    ++ended;
    CHECK(chain.error().code == Code::timeout);
    CHECK(chain.error().message == "it takes too long");
  });
  audit->heard({alice.key(), head_salt, 3'000, encode_published_head(*net.head), true});
  REQUIRE(asked.size() == 1);
  audit->give_up("it takes too long");
  CHECK(ended == 1);
  // What was under way comes after all.
  auto bundle = find_bundle(net.publisher.segment_dir(asked[0].first.v2_hash));
  fs::copy(bundle->dir(), asked[0].first.parent_dir + "/" + bundle->torrent.name, fs::copy_options::recursive);
  const FetchDone done{asked[0].first.v2_hash, bundle->torrent, asked[0].first.parent_dir, 1};
  asked[0].second(&done, "");
  CHECK(asked.size() == 1);
  for (auto& action : std::exchange(net.timers, {})) action();
  CHECK(ended == 1);
}
