#include "cli/own_chain.h"

#include <filesystem>
#include <utility>

#include "cli/chain_segments.h"
#include "cli/durable_file.h"
#include "cli/node.h"

namespace tnode {
namespace {

constexpr TimeMs look_every_ms = 1'000;

}  // namespace

OwnChain::OwnChain(Node& node, Store& store, std::optional<RestoredMark> mark) : node_(node), store_(store) {
  if (mark) mark_ = std::move(*mark);
  if (store_.doubt() != Store::Doubt::none) recovery_.emplace(node_.key(), store_.export_chain(), mark_.chain.genesis);
  node_.later(0, [this] { look(); });
}

void OwnChain::look() {
  if (in_doubt()) {
    const TimeMs now = node_.now();
    if (searched_ms_ == 0 || now >= searched_ms_ + own_head_search_ms) {
      searched_ms_ = now;
      node_.swarm().find_item(node_.key().key(), head_salt);
    }
    for (const auto& [peer, asked] : std::map<NodeKey, Asked>(asked_))
      if (now >= asked.at_ms + own_ask_again_ms) ask(peer, asked.from);
    if (published_ && published_->block.seq >= recovery_->blocks_here() && !fetching_ && (fetched_ms_ == 0 || now >= fetched_ms_ + own_fetch_retry_ms)) {
      fetched_ms_ = now;
      fetching_ = true;
      fetch_bundles();
    }
    advance();
  } else {
    release_orphans();
  }
  node_.later(in_doubt() ? look_every_ms : orphan_look_ms, [this] { look(); });
}

// --- what others know ---

void OwnChain::met(const NodeKey& peer) {
  // In doubt the newest block is asked for too: who shows it knows as much as we do.
  const std::uint64_t blocks = store_.blocks();
  ask(peer, in_doubt() && blocks > 0 ? blocks - 1 : blocks);
}

void OwnChain::ask(const NodeKey& peer, std::uint64_t from) {
  asked_[peer] = {from, node_.now()};
  node_.carry(Send{peer, AskBlocksMessage{{from}}});
}

void OwnChain::left(const NodeKey& peer) { asked_.erase(peer); }

void OwnChain::answer(const NodeKey& peer, const AskBlocks& ask) {
  OwnBlocks answer;
  for (const Block& block : store_.blocks_for(peer, ask.from, max_blocks_per_message)) answer.blocks.push_back(encode_block(block));
  node_.carry(Send{peer, BlocksMessage{std::move(answer)}});
}

void OwnChain::take(const NodeKey& peer, const OwnBlocks& blocks) {
  auto asked = asked_.find(peer);
  if (asked == asked_.end()) return;  // nobody asked
  const std::uint64_t from = asked->second.from;
  std::uint64_t next = from;
  asked_.erase(asked);
  for (const Bytes& bytes : blocks.blocks) {
    auto block = decode_block(bytes);
    if (!block || !check_block_shape(*block)) return;
    if (block->key == node_.key().key() && block->seq >= next) next = block->seq + 1;
    see(*block);
  }
  if (!in_doubt()) return;
  answered_.insert(peer);
  if (next > from) ask(peer, next);  // there may be more; whoever says nothing new has said all
  advance();
}

void OwnChain::heard(const ItemFound& item) {
  if (item.key != node_.key().key() || item.salt != head_salt) return;
  if (item.last) searched_ = true;
  auto head = item.value.empty() ? Result<PublishedHead>(fail(Code::not_found, "")) : decode_published_head(item.key, item.value);
  if (!head) return;
  if (in_doubt() && (!published_ || head->block.seq > published_->block.seq)) {
    published_ = *head;
    changed_ms_ = node_.now();
  }
  see(head->block);
}

/// A block that somebody has, perhaps of the own chain.
void OwnChain::see(const Block& block) {
  const bool own = block.key == node_.key().key();
  if (own && !verify_block(block)) return;
  const std::uint64_t here = store_.blocks();
  if (own && block.seq < here) {
    const auto ours = store_.history(block.seq, 1);
    if (block_id(ours.front()) != block_id(block)) parted_at_ = block.seq;
    else if (block.seq + 1 == here) head_shown_ = true;
    return;
  }
  if (in_doubt()) {
    const std::uint64_t before = recovery_->blocks_seen();
    recovery_->add(block);
    if (recovery_->blocks_seen() != before) changed_ms_ = node_.now();
  } else if (own) {
    stop_at(block);
  }
}

/// This node has signed a block that it does not have. Nothing was signed since it started at that place: it stops, and looks around first
/// when it is started again.
void OwnChain::stop_at(const Block& newer) {
  store_.distrust();
  const std::string why = "somebody has block " + std::to_string(newer.seq) + " of this node's own chain, which is not here: the store was put back to an earlier state";
  const ChainMark here = mark_of(store_);
  if (auto marked = write_restored_mark(node_.home(), {node_.key().key(), {newer.seq + 1, block_id(newer), here.genesis}, why}); !marked) return node_.give_up(marked.error());
  node_.give_up(fail(Code::unavailable, why + ". It stops before it signs anything twice; start it again, and it fetches what is missing first"));
}

// --- what was published ---

void OwnChain::fetch_bundles() {
  SegmentSearch search{node_.key().key(), published_->newest, published_->block.seq + 1, recovery_->blocks_here(), {answered_.begin(), answered_.end()}};
  auto fetch = [this](FetchTorrent request, auto end) { node_.fetch(std::move(request), std::move(end)); };
  auto each = [this](const ChainSegment& segment) -> Result<void> {
    if (!in_doubt()) return fail(Code::refused, "it is known by now that nothing is missing");
    for (const Bytes* part : {&segment.blocks, &segment.halves})
      for (const Block& block : blocks_in(*part)) see(block);
    return {};
  };
  get_segments(node_.home(), std::move(search), fetch, each, [this](const Result<void>& done) {
    fetching_ = false;
    fetch_problem_ = done ? "" : done.error().message;
    if (done) advance();
  });
}

// --- putting back ---

void OwnChain::advance() {
  if (!in_doubt()) return;
  if (auto longer = recovery_->longer_chain()) catch_up(*longer);
  node_.after_commit([this] { trust_if_known(); });
}

void OwnChain::catch_up(const ChainReport& chain) {
  const std::uint64_t before = store_.blocks();
  auto done = put_back(node_.writing(), chain);
  if (!done && done.error().code == Code::exists) {
    parted_at_ = before == 0 ? 0 : before - 1;
    return;
  }
  if (!done) return node_.give_up(done.error());
  for (const Save& save : done->outbox) node_.carry(save);
  changed_ms_ = node_.now();
  head_shown_ = true;  // by whoever had the last of them
}

std::string OwnChain::waits_for() const {
  if (!in_doubt()) return {};
  const std::uint64_t here = recovery_->blocks_here(), known = std::max(recovery_->blocks_seen(), mark_.chain.blocks);
  if (parted_at_ || recovery_->parted())
    return "this key has signed two different blocks at one place" + (parted_at_ ? " (block " + std::to_string(*parted_at_) + ")" : std::string()) + ": others can prove it and refuse the key; use another home with a key of its own";
  const std::string state = std::to_string(here) + " blocks of its chain are here, ";
  if (here < known)
    return state + std::to_string(known) + " were signed at least: it looks for the others on the DHT and with those it meets" + (fetch_problem_.empty() ? "" : " (" + fetch_problem_ + ")") +
           "; `" + node_.home().command("ledger import FILE") + "` takes them from an export";
  if (!published_ && !head_shown_) return state + "and nobody who could know of more was heard yet: it asks the DHT and all whom it meets";
  return state + "and so far nobody knows of more: it waits for those who were asked";
}

void OwnChain::trust_if_known() {
  if (!in_doubt() || parted_at_ || recovery_->parted() || !asked_.empty()) return;
  const std::uint64_t here = store_.blocks();
  if (here < mark_.chain.blocks || recovery_->blocks_seen() > here || fetching_) return;
  // The published head, or the newest block in somebody's hands and nothing in the DHT: that is known, not hoped.
  if (!published_ && !(head_shown_ && searched_)) return;
  if (node_.now() < changed_ms_ + own_settle_ms) return;
  if (auto trusted = store_.trust(node_.now()); !trusted) return node_.give_up(trusted.error());
  recovery_.reset();
  for (const std::string& path : {node_.home().restored_path(), node_.home().unused_key_path()})
    if (auto removed = remove_durably(path); !removed) return node_.give_up(removed.error());
  for (auto& action : std::exchange(held_back_, {})) node_.post(std::move(action));
  if (trusted_) trusted_();
}

void OwnChain::hold_back(std::function<void()> action) {
  if (held_back_.size() < most_held_back) held_back_.push_back(std::move(action));
}

/// A HOLD that came back with the chain has no task that would end it: it is released when its payee has no claim on it any more.
void OwnChain::release_orphans() {
  std::vector<Hash> orphans;
  for (const auto& [ref, hold] : store_.open_holds())
    if (hold.expiry_ms < node_.now() && !store_.get(task_of_ref_bucket, ref.view())) orphans.push_back(ref);
  for (const Hash& ref : orphans)
    if (auto released = node_.writing().release(ref, {}, node_.now()); !released) return node_.give_up(released.error());
}

}  // namespace tnode
