#include "cli/requester_role.h"

#include <algorithm>
#include <filesystem>

#include "cli/bundle_disk.h"
#include "cli/node.h"
#include "cli/runtime_store.h"
#include "core/amount.h"
#include "core/result_manifest.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr TimeMs record_every_ms = 500;   // how old what `status` shows may be
constexpr TimeMs fetch_stall_ms = 30'000;

RequesterOptions requester_options(const Node& node, const TaskRecord& record) {
  return {record.offer, &node.key(), record.draw_seed, record.queue_ms, record.total_ms};
}

Result<void> check_unit_bundle(const StoredBundle& bundle, const TaskId& task, UnitNumber unit, const Outcome& outcome) {
  auto manifest = read_file(bundle.dir() + "/manifest");
  if (!manifest) return manifest.error();
  if (bundle.torrent.name != result_name(*manifest)) return fail(Code::invalid, "the result's name does not belong to its manifest");
  return check_unit_result_manifest(*manifest, task, unit, outcome);
}

/// What a task comes to.
struct Whole {
  StoredBundle bundle;
  std::int64_t good = 0, empty = 0;  ///< units that are good; those of them that left no output
};

/// One bundle out of those of all units; the unit's own when there is just one.
Result<Whole> assemble(const Home& home, const TaskId& task, const std::map<UnitNumber, Requester::Accepted>& units) {
  Whole whole;
  std::vector<UnitFolder> folders;
  for (const auto& [unit, accepted] : units) {
    auto bundle = find_bundle(home.result_dir(accepted.result));
    if (!bundle) return fail(bundle.error().code, "the result of unit " + std::to_string(unit) + " is gone: " + bundle.error().message);
    if (accepted.outcome.good()) {
      ++whole.good;
      const auto& files = bundle->torrent.files;
      whole.empty += std::none_of(files.begin(), files.end(), [](const auto& file) { return file.path.starts_with("out/"); });
    }
    if (units.size() == 1) {
      whole.bundle = std::move(*bundle);
      return whole;
    }
    folders.push_back({unit, bundle->dir()});
  }
  const Bytes manifest = whole_result_manifest(task, static_cast<UnitNumber>(units.size()));
  const std::string name = result_name(manifest), dir = home.work_dir() + "/whole-" + to_hex(task);
  std::error_code ec;
  fs::remove_all(dir, ec);
  fs::create_directories(dir, ec);
  if (auto merged = merge_outputs(folders, dir); !merged) return merged.error();
  if (auto written = write_file_atomically(dir + "/manifest", manifest); !written) return written.error();
  auto torrent = hash_folder(dir, name);
  if (!torrent) return torrent.error();
  const std::string parent = home.result_dir(rename_id<ResultId>(torrent->v2_hash));
  if (auto there = find_bundle(parent)) {
    fs::remove_all(dir, ec);
    whole.bundle = std::move(*there);
    return whole;
  }
  fs::create_directories(parent, ec);
  fs::remove_all(parent + "/" + name, ec);
  fs::rename(dir, parent + "/" + name, ec);
  if (ec) return fail(Code::io, "cannot move the result to " + parent + ": " + ec.message());
  auto kept = keep_bundle(*torrent, parent);
  if (!kept) return kept.error();
  whole.bundle = std::move(*kept);
  return whole;
}

/// All that was revealed for an offer, and the units' torrents: who agreed on what.
Result<StoredBundle> certify(const Home& home, const Signed& offer, const TaskId& task, const ResultId& result, const std::map<UnitNumber, Requester::Accepted>& units, std::vector<SignedReveal> reveals) {
  Certificate certificate{offer, result, {}, std::move(reveals)};
  for (const auto& [unit, accepted] : units) {
    if (!accepted.outcome.good()) return fail(Code::invalid, "a task that failed has no certificate");
    auto bundle = find_bundle(home.result_dir(accepted.result));
    if (!bundle) return bundle.error();
    certificate.units[unit] = bundle->torrent.info;
  }
  return keep_certificate(home, certificate, task);
}

/// No honest run leaves more: each index has its own disk limit. Farmers that agree on something else do not fill ours.
std::int64_t max_result_bytes(const Offer& offer) {
  constexpr std::int64_t manifest_bytes = 64 << 10;
  auto outputs = checked_multiply(offer.resources.disk_bytes, offer.batch);
  return std::min(outputs.value_or(max_bundle_bytes), max_bundle_bytes - manifest_bytes) + manifest_bytes;
}

std::vector<SignedReveal> kept_reveals(const Store& store, const OfferId& offer) {
  constexpr std::size_t head = 32 + 64;
  std::vector<SignedReveal> reveals;
  store.scan("reveal", [&](std::string_view key, std::string_view value) {
    if (key.substr(0, 32) != offer.view() || value.size() <= head) return;
    SignedReveal each{*NodeKey::from_bytes(value.substr(0, 32)), {Bytes(value.substr(head)), {}}};
    for (std::size_t i = 0; i < 64; ++i) each.reveal.signature[i] = static_cast<std::uint8_t>(value[32 + i]);
    reveals.push_back(std::move(each));
  });
  return reveals;
}

}  // namespace

RequesterRole::RequesterRole(Node& node, TaskRecord record, StoredBundle task, Watcher watcher)
    : node_(node), record_(std::move(record)), task_(std::move(task)), watcher_(std::move(watcher)), requester_(requester_options(node, record_)) {
  if (auto earlier = find_task_record(node.store(), record_.offer.task); earlier && offer_id(encode(earlier->offer)) != requester_.id())
    if (auto retired = retire_task_record(node.writing(), std::move(*earlier), node.now()); !retired) node.give_up(retired.error());
  node.store().scan("unit", [&](std::string_view key, std::string_view value) { requester_.restore_unit(key, value); });
  node.store().scan("award", [&](std::string_view, std::string_view value) { requester_.restore_award(value); });
  node.store().scan("paid", [&](std::string_view key, std::string_view value) { requester_.restore_paid(key, value); });
  node.store().scan(evidence_bucket, [&](std::string_view name, std::string_view value) {
    EvidenceRow row;
    if (decode_evidence(name, value, row)) requester_.know(row);
  });
  node.offer(task_, Node::Twin::yes);
  if (auto runtime = runtime_id(record_.offer.runtime))
    if (auto bundle = find_runtime(node.home(), *runtime)) node.offer(*bundle, Node::Twin::no);
  update_record();
}

bool RequesterRole::step() {
  if (gone_) return false;
  if (started_ && pending_.empty() && node_.now() < due_ms_) {
    if (record_stale_ && node_.now() >= record_saved_ms_ + record_every_ms) update_record();
    return false;
  }
  started_ = record_stale_ = true;
  auto events = std::move(pending_);
  pending_.clear();
  auto effects = requester_.step(node_.now(), events);
  for (const auto& effect : effects) std::visit([this](const auto& e) { carry(e); }, effect);
  due_ms_ = requester_.next_deadline(node_.now());
  if (!gone_ && node_.now() >= record_saved_ms_ + record_every_ms) update_record();
  return !pending_.empty();
}

TimeMs RequesterRole::next_deadline(TimeMs now) const {
  if (gone_) return now + 60'000;
  const TimeMs next = requester_.next_deadline(now);
  return record_stale_ ? std::min(next, record_saved_ms_ + record_every_ms) : next;
}

void RequesterRole::update_record() {
  const auto counts = requester_.counts();
  record_.open = counts.open;
  record_.leased = counts.leased;
  record_.accepted = counts.accepted;
  record_.failed = counts.failed;
  record_.disputed = counts.disputed;
  record_.replicas = counts.replicas;
  record_.paid_micro = counts.paid_micro;
  record_.waiting_for = requester_.waiting_for();
  record_.updated_ms = record_saved_ms_ = node_.now();
  record_stale_ = false;
  record_.explain.clear();
  for (const auto& [farmer, why] : requester_.explain(node_.now())) record_.explain.push_back(to_hex(farmer) + ": " + why);
  node_.carry(Save{task_bucket, Bytes(task().view()), encode_task_record(record_)});
}

void RequesterRole::interrupt() {
  if (gone_) return;
  record_.state = "interrupted";
  update_record();
}

void RequesterRole::carry(const Send& effect) { node_.carry(effect); }
void RequesterRole::carry(const Save& effect) { node_.carry(effect); }
void RequesterRole::carry(const Erase& effect) { node_.carry(effect); }
void RequesterRole::carry(const Note& effect) { if (watcher_.note) watcher_.note(effect); }

// --- money ---

void RequesterRole::carry(const WriteHold& effect) {
  const auto block = node_.writing().hold(effect.payee, effect.ref, effect.evidence, effect.amount, effect.expiry_ms, node_.now());
  if (block) node_.carry(Save{task_of_ref_bucket, Bytes(effect.ref.view()), Bytes(task().view())});
  written(effect.award, block);
}
void RequesterRole::carry(const WriteDebit& effect) {
  const auto block = node_.writing().debit(effect.ref, effect.evidence, effect.amount, node_.now());
  if (block) node_.we_paid(*block);
  written(effect.award, block);
}
void RequesterRole::carry(const WriteRelease& effect) { written(effect.award, node_.writing().release(effect.ref, effect.evidence, node_.now())); }

void RequesterRole::carry(const Witness& effect) { node_.witness(effect); }

void RequesterRole::written(const AwardId& award, const Result<Block>& block) {
  if (block) return hear(BlockWritten{award, encode_block(*block)});
  if (block.error().code == Code::io) return node_.give_up(block.error());
  hear(BlockRefused{award, block.error().code, block.error().message});
}

// --- results ---

void RequesterRole::fetched(UnitNumber unit, const Result<StoredBundle>& bundle) {
  --busy_;
  if (!bundle) return hear(ResultFetched{unit, false, bundle.error().message});
  if (const auto* accepted = requester_.accepted(unit); accepted && !accepted->outcome.good()) remember_failure(unit, *accepted, *bundle);
  hear(ResultFetched{unit, true, {}});
}

/// With the unit's own record, so that a later run knows why, too.
void RequesterRole::remember_failure(UnitNumber unit, const Requester::Accepted& accepted, const StoredBundle& bundle) {
  auto& failures = record_.failures;
  if (failures.size() >= max_failures_kept || std::any_of(failures.begin(), failures.end(), [&](const UnitFailure& each) { return each.unit == unit; })) return;
  auto manifest = read_file(bundle.dir() + "/manifest");
  failures.push_back({unit, manifest ? failed_index_in(*manifest) : -1, accepted.outcome, accepted.detail, accepted.stderr_tail});
  update_record();
}

void RequesterRole::carry(const FetchResult& effect) {
  auto checked = [task = task(), unit = effect.unit, outcome = effect.outcome](Result<StoredBundle> bundle) -> Result<StoredBundle> {
    if (bundle)
      if (auto good = check_unit_bundle(*bundle, task, unit, outcome); !good) return good.error();
    return bundle;
  };
  const std::string dir = node_.home().result_dir(effect.result);
  ++busy_;
  if (effect.inlined) {
    node_.work([this, home = node_.home(), effect, checked]() -> std::function<void()> {
      auto bundle = checked(keep_inline_result(home, effect.result, effect.inline_files));
      return [this, unit = effect.unit, bundle] { fetched(unit, bundle); };
    });
    return;
  }
  if (auto there = find_bundle(dir)) return fetched(effect.unit, checked(std::move(there)));
  std::error_code ec;
  fs::create_directories(dir, ec);
  FetchTorrent request;
  request.v2_hash = rename_id<Hash>(effect.result);
  request.v1_hash = effect.v1_hash;
  request.parent_dir = dir;
  request.holders = effect.holders;
  request.max_bytes = max_result_bytes(record_.offer);
  request.stall_ms = fetch_stall_ms;
  node_.fetch(std::move(request), [this, dir, checked, unit = effect.unit](const FetchDone* done, const std::string& problem) {
    if (!done) return fetched(unit, fail(Code::timeout, problem));
    fetched(unit, checked(keep_bundle(done->torrent, dir)));
  });
}

void RequesterRole::carry(const AssembleResult&) {
  ++busy_;
  node_.work([this, home = node_.home(), task = task(), units = requester_.accepted(), folder = output_folder(), offer = requester_.signed_offer(),
              reveals = kept_reveals(node_.store(), requester_.id())]() -> std::function<void()> {
    auto whole = assemble(home, task, units);
    Result<void> saved;
    if (whole && whole->good > 0) saved = save_outputs(whole->bundle, folder);
    Result<StoredBundle> certificate = fail(Code::not_found, "");
    if (whole) certificate = certify(home, offer, task, rename_id<ResultId>(whole->bundle.torrent.v2_hash), units, reveals);
    return [this, whole, saved, certificate] {
      --busy_;
      if (!whole) return hear(ResultAssembled{false, whole.error().code == Code::invalid, whole.error().message, {}, {}, 0, {}, {}});
      const Torrent& torrent = whole->bundle.torrent;
      ResultAssembled assembled{true, false, {}, rename_id<ResultId>(torrent.v2_hash), torrent.v1_hash, torrent.total_size, {}, {}};
      if (whole->good > 0) {
        record_.result = assembled.result;
        record_.result_v1 = torrent.v1_hash;
        record_.result_name = torrent.name;
        record_.result_bytes = torrent.total_size;
        record_.empty = whole->empty;
      }
      if (!saved) {  // what farmers agreed on stands, and is in the home
        record_.out.clear();
        save_problem_ = saved.error().message;
      }
      node_.offer(whole->bundle, Node::Twin::yes);
      if (certificate) {
        assembled.certificate = certificate->torrent.v2_hash;
        assembled.certificate_v1 = certificate->torrent.v1_hash;
        node_.offer(*certificate, Node::Twin::no);
        node_.remember_certificate(assembled.result, certificate->torrent);
      }
      hear(std::move(assembled));
    };
  });
}

void RequesterRole::carry(const Finished& effect) {
  // What stopped on an error of this machine goes on at the next run.
  record_.state = effect.ending == Ending::error ? "interrupted" : std::string(ending_word(effect.ending));
  record_.reason = save_problem_.empty() ? effect.reason : "not saved: " + save_problem_;
  update_record();
  // What was kept to go on after a crash is of no use any more; the certificate has the reveals.
  if (effect.ending == Ending::done || effect.ending == Ending::failed)
    for (const char* bucket : {"unit", "reveal"}) {
      std::vector<Bytes> keys;
      node_.store().scan(bucket, [&](std::string_view key, std::string_view) {
        if (key.substr(0, 32) == requester_.id().view()) keys.emplace_back(key);
      });
      for (const Bytes& key : keys) node_.carry(Erase{bucket, key});
    }
  gone_ = true;
  node_.after_commit([this, ending = effect.ending] { if (watcher_.end) watcher_.end(record_, ending, requester_); });
}

}  // namespace tnode
