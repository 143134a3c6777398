#include "cli/farmer_role.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "cli/credit_terms.h"
#include "cli/node.h"
#include "cli/pack.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr TimeMs fetch_stall_ms = 60'000;        // a task or mirror that brings nothing new for so long is given up
constexpr TimeMs audits_every_ms = 5'000;        // how often it looks for chains that were audited meanwhile
constexpr std::int64_t disk_reserve_bytes = 32LL << 20;
constexpr std::size_t max_reseeded = 2'000;      // bundles offered again after a restart
constexpr std::size_t stderr_tail_bytes = max_tail_bytes;

std::string tail(const std::string& text, std::size_t bytes) { return text.size() <= bytes ? text : text.substr(text.size() - bytes); }

FarmerOptions completed(Node& node, FarmerOptions options) {
  options.key = &node.key();
  options.credit = credit_policy(node.store(), node.home(), options.credit.terms());
  // Known to this node alone, the same after a restart: a vote that was committed keeps its nonce.
  Bytes seed(reinterpret_cast<const char*>(node.key().seed().data()), node.key().seed().size());
  options.nonce_secret = Bytes(domain_hash("nonce-secret", seed).view());
  return options;
}

}  // namespace

FarmerRole::FarmerRole(Node& node, FarmerRoleOptions options, Observer observer)
    : node_(node), options_(std::move(options)), observer_(std::move(observer)), farmer_(completed(node, options_.farmer)),
      runtimes_(node, {options_.runtime_cache_bytes, [this](FarmerEvent event) { hear(std::move(event)); }, [this](const RuntimeId& id) { return farmer_.uses(id); },
                       [this](const Note& note) { if (observer_) observer_(note); }}),
      chain_audits_(node, [this](FarmerEvent event) { hear(std::move(event)); }) {
  node.store().scan("lease", [&](std::string_view, std::string_view value) { farmer_.restore_lease(value); });
  node.store().scan("vote", [&](std::string_view key, std::string_view value) { farmer_.restore_vote(key, value); });
  node.store().scan("unpaid", [&](std::string_view key, std::string_view value) { farmer_.restore_unpaid(key, value); });
  // What an earlier run left half done is of no use to anyone.
  std::error_code ec;
  fs::remove_all(node.home().work_dir(), ec);
  fs::create_directories(node.home().work_dir(), ec);
  remove_half_made_bundles(node.home().dir() + "/results");
  node.carry(Save{credit_terms_bucket, "farm", encode_credit_terms(options_.farmer.credit.terms())});
  reseed();
  look_at_audits();
}

/// Chains that were audited since may tell who is owed for work: an audit is another process.
void FarmerRole::look_at_audits() {
  for (const NodeKey& key : farmer_.credit().vouchers()) {
    std::error_code ec;
    const auto changed = fs::last_write_time(vouches_path(node_.home(), key), ec);
    if (ec || std::exchange(audits_[key], changed) == changed) continue;
    hear(ChainVouches{key, vouches_of(node_.home(), key)});
  }
  node_.later(audits_every_ms, [this] { look_at_audits(); });
}

/// Bundles that are whole are offered again, the newest first.
void FarmerRole::reseed() {
  std::vector<std::pair<fs::file_time_type, std::string>> found;
  for (const char* folder : {"/tasks", "/results"}) {
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(node_.home().dir() + folder, ec)) {
      auto torrent = entry.path() / bundle_torrent_name;
      if (fs::exists(torrent, ec)) found.emplace_back(fs::last_write_time(torrent, ec), entry.path().string());
    }
  }
  std::sort(found.rbegin(), found.rend());
  if (found.size() > max_reseeded) found.resize(max_reseeded);
  for (auto& [time, path] : found)
    node_.work([this, path = path]() -> std::function<void()> {
      auto bundle = find_bundle(path);
      if (!bundle) return {};
      return [this, bundle = std::move(*bundle)] {
        std::error_code ec;
        node_.offer(bundle, fs::exists(bundle.parent_dir + "/" + twin_torrent_name, ec) ? Node::Twin::yes : Node::Twin::no);
      };
    });
}

bool FarmerRole::step() {
  if (started_ && pending_.empty() && node_.now() < due_ms_) return false;
  started_ = true;
  auto events = std::move(pending_);
  pending_.clear();
  events.push_back(Tick{});
  auto effects = farmer_.step(node_.now(), events);
  for (const auto& effect : effects) std::visit([this](const auto& e) { carry(e); }, effect);
  due_ms_ = farmer_.next_deadline(node_.now());
  return !pending_.empty();
}

void FarmerRole::carry(const Send& effect) { node_.carry(effect); }
void FarmerRole::carry(const Save& effect) { node_.carry(effect); }
void FarmerRole::carry(const Erase& effect) { node_.carry(effect); }
void FarmerRole::carry(const Note& effect) { if (observer_) observer_(effect); }

/// What still fits on the disk, with room left for the ledger and for what tasks write.
std::int64_t FarmerRole::largest_fetch() const {
  const auto free = node_.home().free_bytes();
  if (!free) return options_.max_task_bytes;
  return std::clamp<std::int64_t>(*free - std::min(disk_reserve_bytes, *free / 2), 1, options_.max_task_bytes);
}

// --- tasks ---

void FarmerRole::carry(const FetchTask& effect) {
  get_task(effect.task, effect.v1_hash, {}, {effect.holder}, {effect.endpoint}, {});
}

void FarmerRole::watch(const TaskId& task, const std::array<std::uint8_t, 20>& v1_hash, const Bytes& torrent, std::vector<std::string> peers,
                       std::function<void(const std::string&)> end) {
  get_task(task, v1_hash, torrent, {}, std::move(peers), [this, task, end = std::move(end)](const std::string& problem) {
    if (problem.empty()) hear(TaskWatched{task});
    if (end) end(problem);
  });
}

void FarmerRole::get_task(const TaskId& task, const std::array<std::uint8_t, 20>& v1_hash, const Bytes& torrent, std::vector<NodeKey> holders,
                          std::vector<std::string> peers, std::function<void(const std::string&)> end) {
  if (auto ready = tasks_.find(task); ready != tasks_.end()) {
    hear(TaskReady{task, ready->second.spec});
    if (end) end({});
    return;
  }
  auto& waiting = fetching_[task];
  const bool first = waiting.empty();
  waiting.push_back(end ? std::move(end) : [](const std::string&) {});
  auto over = [this, task](const std::string& problem) {
    auto ends = std::move(fetching_[task]);
    fetching_.erase(task);
    if (!problem.empty()) hear(TaskLost{task, problem});
    for (auto& each : ends) each(problem);
  };
  const std::string dir = node_.home().task_dir(task);
  FetchTorrent request;
  request.v2_hash = rename_id<Hash>(task);
  request.v1_hash = v1_hash;
  request.torrent = torrent;
  request.parent_dir = dir;
  request.holders = std::move(holders);
  request.peers = std::move(peers);
  request.max_bytes = largest_fetch();
  request.stall_ms = fetch_stall_ms;
  if (!first) {
    node_.after_commit([this, request]() mutable { node_.swarm().fetch(std::move(request)); });  // one more holder to ask
    return;
  }
  if (auto there = find_bundle(dir)) {
    node_.offer(*there, Node::Twin::yes);
    return open_task(task, there->torrent, over);
  }
  std::error_code ec;
  fs::create_directories(dir, ec);
  node_.fetch(std::move(request), [this, task, dir, over](const FetchDone* done, const std::string& problem) {
    if (!done) return over(problem);
    auto kept = keep_bundle(done->torrent, dir);
    if (!kept) return over(kept.error().message);
    node_.offer(*kept, Node::Twin::yes);
    open_task(task, done->torrent, over);
  });
}

void FarmerRole::open_task(const TaskId& task, const Torrent& torrent, std::function<void(const std::string&)> end) {
  StoredBundle bundle{torrent, node_.home().task_dir(task)};
  auto spec = read_manifest(bundle);
  if (!spec) return end(spec.error().message);
  get_foreign_inputs(task, Task{std::move(*spec), bundle.dir(), {}}, std::move(end));
}

void FarmerRole::get_foreign_inputs(const TaskId& task, Task opened, std::function<void(const std::string&)> end) {
  const std::size_t next = opened.foreign_inputs.size();
  if (next == opened.spec.foreign_inputs.size()) {
    hear(TaskReady{task, opened.spec});
    tasks_[task] = std::move(opened);
    return end({});
  }
  const ForeignInput input = opened.spec.foreign_inputs[next];
  FetchTorrent request;
  request.v2_hash = input.v2_hash;
  request.parent_dir = node_.home().input_dir(input.v2_hash);
  request.max_bytes = largest_fetch();
  request.stall_ms = fetch_stall_ms;
  request.canonical = false;
  std::error_code ec;
  fs::create_directories(request.parent_dir, ec);
  node_.fetch(std::move(request), [this, task, opened = std::move(opened), input, end](const FetchDone* done, const std::string& problem) mutable {
    if (!done) return end("its input in/" + input.to + " (" + to_hex(input.v2_hash) + ") cannot be had: " + problem);
    opened.foreign_inputs.emplace_back(input.to, done->dir);
    get_foreign_inputs(task, std::move(opened), std::move(end));
  });
}

// --- execution ---

void FarmerRole::carry(const RunUnit& effect) {
  const Task& task = tasks_.at(effect.task);
  ExecutionRequest request;
  request.job = effect.job;
  request.task_dir = task.bundle_dir;
  request.foreign_inputs = task.foreign_inputs;
  request.task_hex = to_hex(effect.task);
  if (auto runtime = runtime_id(task.spec.runtime)) request.runtime_dir = runtimes_.root(*runtime);
  request.invocations = expand_unit(task.spec, effect.unit);
  request.warm = warm_command(task.spec, effect.warm);
  request.warm_env = warm_environment(task.spec);
  request.outputs = task.spec.outputs;
  request.limits.wall_ms = effect.run_ms;
  request.limits.cpus = task.spec.resources.cpus;
  request.limits.memory_bytes = task.spec.resources.memory_bytes;
  request.limits.disk_bytes = task.spec.resources.disk_bytes;
  request.result_dir = node_.home().work_dir() + "/job-" + std::to_string(effect.job);
  jobs_[effect.job] = {effect.task, effect.unit, request.result_dir};
  node_.after_commit([this, request = std::move(request)]() mutable { node_.executor()->run(std::move(request)); });
}

void FarmerRole::carry(const StopUnit& effect) {
  node_.after_commit([this, job = effect.job] { node_.executor()->cancel(job); });
}

void FarmerRole::carry(const EndIdle& effect) {
  node_.after_commit([this, task = to_hex(effect.task)] { if (node_.executor()) node_.executor()->end_idle(task); });
}

void FarmerRole::carry(const FreezeUnits&) {
  node_.after_commit([this] { if (node_.executor()) node_.executor()->pause(); });
}

void FarmerRole::carry(const ThawUnits&) {
  node_.after_commit([this] { if (node_.executor()) node_.executor()->resume(); });
}

void FarmerRole::on_report(const ExecutionReport& report) {
  auto it = jobs_.find(report.job);
  if (it == jobs_.end()) return;
  const Job job = it->second;
  auto answer = [this](UnitRan ran) {
    jobs_.erase(ran.job);
    hear(std::move(ran));
  };
  if (!report.ran) {
    std::error_code ec;
    fs::remove_all(job.dir, ec);
    return answer(UnitRan{report.job, false, report.problem, {}, {}, {}, {}});
  }
  node_.work([this, home = node_.home(), job, report = ExecutionReport(report), answer, tamper = options_.tamper]() mutable -> std::function<void()> {
    if (tamper) tamper(job.dir, report);
    auto packed = pack_unit_result(home, job.dir, job.task, job.unit, report);
    UnitRan ran;
    ran.job = report.job;
    if (!packed) {
      ran.problem = packed.error().message;
      return [answer, ran] { answer(ran); };
    }
    ran.ran = true;
    ran.result = rename_id<ResultId>(packed->bundle.torrent.v2_hash);
    ran.outcome = report.outcome;
    ran.usage = report.usage;
    ran.extra.inlined = packed->inlined;
    ran.extra.files = std::move(packed->inline_files);
    ran.extra.v1_hash = packed->bundle.torrent.v1_hash;
    ran.extra.detail = report.failure_detail.substr(0, 1000);
    if (!report.outcome.good()) ran.extra.stderr_tail = tail(report.stderr_tail, stderr_tail_bytes);
    return [answer, ran] { answer(ran); };
  });
}

// --- results ---

void FarmerRole::carry(const SeedResult& effect) {
  if (auto bundle = find_bundle(node_.home().result_dir(effect.result))) node_.offer(*bundle, Node::Twin::no);
}

void FarmerRole::carry(const DropResult& effect) {
  node_.after_commit([this, result = effect.result] {
    node_.swarm().remove(rename_id<Hash>(result));
    std::error_code ec;
    fs::remove_all(node_.home().result_dir(result), ec);
  });
}

void FarmerRole::carry(const MirrorResult& effect) {
  // The result, then its proof; one without a proof is worth keeping too.
  auto prove = [this, effect] {
    if (effect.certificate.is_zero()) return hear(ResultMirrored{effect.result});
    mirror(rename_id<ResultId>(effect.certificate), effect.certificate_v1, effect.holder, Node::Twin::no, [this, result = effect.result](const StoredBundle* certificate) {
      if (certificate) node_.remember_certificate(result, certificate->torrent);
      hear(ResultMirrored{result});
    });
  };
  if (effect.bytes > options_.max_mirror_bytes) return;
  mirror(effect.result, effect.v1_hash, effect.holder, Node::Twin::yes, [prove](const StoredBundle* bundle) {
    if (bundle) prove();
  });
}

void FarmerRole::mirror(const ResultId& id, const std::array<std::uint8_t, 20>& v1_hash, const NodeKey& holder, Node::Twin twin, std::function<void(const StoredBundle*)> end) {
  const std::string dir = node_.home().result_dir(id);
  if (auto there = find_bundle(dir)) {
    node_.offer(*there, twin);
    return end(&*there);
  }
  std::error_code ec;
  fs::create_directories(dir, ec);
  FetchTorrent request;
  request.v2_hash = rename_id<Hash>(id);
  request.v1_hash = v1_hash;
  request.parent_dir = dir;
  request.holders = {holder};
  request.max_bytes = options_.max_mirror_bytes;
  request.stall_ms = fetch_stall_ms;
  ++mirroring_;
  node_.fetch(std::move(request), [this, dir, twin, end = std::move(end)](const FetchDone* done, const std::string&) {
    --mirroring_;
    auto kept = done ? keep_bundle(done->torrent, dir) : Result<StoredBundle>(fail(Code::not_found, ""));
    if (!kept) {
      std::error_code ignored;
      fs::remove_all(dir, ignored);
      return end(nullptr);
    }
    node_.offer(*kept, twin);
    end(&*kept);
  });
}

void FarmerRole::carry(const Meet& effect) {
  if (!effect.endpoint.empty()) node_.after_commit([this, endpoint = effect.endpoint] { node_.swarm().dial(endpoint); });
}

// --- credits ---

void FarmerRole::carry(const KeepHold& effect) {
  auto block = decode_block(effect.block);
  check(block.ok(), "core checked the HOLD");
  auto kept = node_.writing().keep_foreign(*block);
  if (kept) return node_.carry(Save{task_of_ref_bucket, Bytes(block->ref.view()), Bytes(effect.task.view())});
  if (kept.error().code == Code::io) return node_.give_up(kept.error());
  hear(HoldBad{effect.award, kept.error().message});
}

void FarmerRole::carry(const WriteCredit& effect) {
  auto debit = decode_block(effect.debit);
  check(debit.ok(), "core checked the DEBIT");
  auto credit = node_.writing().credit_award(*debit, node_.now());
  if (credit) return hear(BlockWritten{effect.award, encode_block(*credit)});
  if (credit.error().code == Code::io) return node_.give_up(credit.error());
  hear(BlockRefused{effect.award, credit.error().code, credit.error().message});
}

}  // namespace tnode
