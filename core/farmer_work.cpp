// Which units run when: as many as slots and memory allow, none while the machine's owner wants it.
#include <algorithm>
#include <limits>

#include "core/farmer.h"

namespace tnode {
namespace {

/// What a unit may take: its memory, and its files, which live in memory too.
std::int64_t memory_of_unit(const Resources& resources) {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  return resources.memory_bytes > most - resources.disk_bytes ? most : resources.memory_bytes + resources.disk_bytes;
}

}  // namespace

/// Units of that kind that fit beside each other.
std::int64_t Farmer::slots_for(const Resources& resources) const {
  if (options_.memory_bytes <= 0) return options_.slots;
  return std::min(options_.slots, options_.memory_bytes / std::max<std::int64_t>(1, memory_of_unit(resources)));
}

std::int64_t Farmer::memory_in_use() const {
  std::int64_t sum = 0;
  for (const auto& [job, work] : running_) sum += memory_of_unit(leases_.at(work.first).offer.resources);
  return sum;
}

/// Units that were run need no task any more: after a restart their votes are still good.
bool Farmer::waits_for_task(const Lease& lease) {
  return std::any_of(lease.units.begin(), lease.units.end(), [](const auto& unit) { return unit.second.step == Step::waiting; });
}

bool Farmer::all_ran(const Lease& lease) {
  return std::all_of(lease.units.begin(), lease.units.end(), [](const auto& unit) { return unit.second.step == Step::ran || unit.second.step == Step::revealed; });
}

void Farmer::start_units() {
  if (paused()) return;
  for (auto& [id, lease] : leases_) {
    if (static_cast<std::int64_t>(running_.size()) >= options_.slots) return;
    if (!waits_for_task(lease)) continue;
    auto task = tasks_.find(lease.offer.task);
    if (task == tasks_.end() || task->second.state == TaskState::unknown) need_task(lease.offer);
    if (tasks_[lease.offer.task].state != TaskState::ready || !runtime_ready(lease.offer)) continue;
    for (auto& [number, work] : lease.units) {
      if (static_cast<std::int64_t>(running_.size()) >= options_.slots) return;
      if (work.step != Step::waiting) continue;
      // Those behind it wait too: small units that overtake would keep a large one waiting for ever.
      if (options_.memory_bytes > 0 && memory_of_unit(lease.offer.resources) > options_.memory_bytes - memory_in_use()) return;
      work.step = Step::running;
      work.job = next_job_++;
      running_[work.job] = {id, number};
      emit(RunUnit{work.job, lease.offer.task, number, lease.offer.run_ms, lease.offer.warm});
    }
  }
}

Bytes Farmer::vote_key(const AwardId& award, UnitNumber unit) { return Bytes(award.view()) + std::to_string(unit); }

void Farmer::on(const UnitRan& event) {
  auto it = running_.find(event.job);
  if (it == running_.end()) return;
  auto [award, number] = it->second;
  running_.erase(it);
  auto lease = leases_.find(award);
  if (lease == leases_.end()) return;
  UnitWork& work = lease->second.units.at(number);
  if (!event.ran) {
    work.step = Step::waiting;
    note("sandbox_failed", {{"unit", std::to_string(number)}, {"problem", event.problem}});
    if (++work.sandbox_failures < max_sandbox_failures) return;
    refuse(lease->second.offer.requester, rename_id<Hash>(award), "sandbox_failed", event.problem);
    drop_lease(award, event.problem);
    return;
  }
  work.step = Step::ran;
  work.extra = event.extra;
  Bytes seed = options_.nonce_secret + vote_key(award, number);
  work.vote = Vote{event.result, domain_hash("nonce", seed), event.outcome, event.usage};
  work.commit_due = true;
  commits_due_.insert(award);
  // The encoding of a reveal of one unit serves as the record of the vote.
  emit(Save{"vote", vote_key(award, number), encode_message(RevealMessage{Signed{encode(Reveal{award, {{number, work.vote}}}), {}}, {{{number, work.extra}}}})});
  note("ran", {{"task", to_hex(lease->second.offer.task)}, {"unit", std::to_string(number)}, {"outcome", std::string(outcome_word(event.outcome.kind))},
               {"exit_code", std::to_string(event.outcome.exit_code)}, {"wall_ms", std::to_string(event.usage.wall_ms)}, {"result_id", to_hex(event.result)}, {"detail", event.extra.detail}});
}

// --- pausing ---

void Farmer::on(const PauseWork& event) {
  const bool fresh = !paused();
  pause_reason_ = event.why;
  if (!fresh) return;
  paused_since_ms_ = now_;
  emit(FreezeUnits{});
  note("paused", {{"reason", event.why}, {"running", std::to_string(running_.size())}});
  bid_again();
}

void Farmer::on(const ResumeWork&) {
  if (!paused()) return;
  note("continued", {{"paused_ms", std::to_string(now_ - *paused_since_ms_)}, {"running", std::to_string(running_.size())}});
  paused_since_ms_.reset();
  pause_reason_.clear();
  emit(ThawUnits{});
  bid_again();
}

/// What we said to each offer is no longer true: bids are taken back, or made.
void Farmer::bid_again() {
  for (auto& [id, known] : offers_) {
    if (known.over || now_ >= known.offer.expires_ms) continue;
    bid_anew(known, id);
  }
}

/// A requester shall not wait for one who may be away all day: after a while units that were not run go back to it.
void Farmer::give_back_when_paused_too_long() {
  if (!paused() || now_ < *paused_since_ms_ + pause_patience_ms) return;
  std::vector<AwardId> unfinished;
  for (const auto& [id, lease] : leases_)
    if (!all_ran(lease)) unfinished.push_back(id);
  for (const AwardId& id : unfinished) {
    refuse(leases_.at(id).offer.requester, rename_id<Hash>(id), "paused", pause_reason_);
    drop_lease(id, "paused for too long: " + pause_reason_);
  }
}

/// When that is due, if it is.
std::optional<TimeMs> Farmer::gives_back_ms() const {
  if (!paused() || std::all_of(leases_.begin(), leases_.end(), [](const auto& lease) { return all_ran(lease.second); })) return std::nullopt;
  return *paused_since_ms_ + pause_patience_ms;
}

}  // namespace tnode
