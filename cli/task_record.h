// What a node remembers of a task it offered: terms to go on with after a crash, and the state that `status` and `explain` show.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/home.h"
#include "core/messages.h"
#include "ledger/store.h"

namespace tnode {

/// A unit that farmers agree fails, and what they sent beside their votes.
struct UnitFailure {
  UnitNumber unit = 0;
  std::int64_t index = -1;     ///< the first of the unit's that was not good
  Outcome outcome;
  std::string detail, stderr_tail;
};
/// "unit 38 failed at index 77: exited with status 1", with the detail if there is one.
std::string failure_text(const UnitFailure& failure);

struct TaskRecord {
  Offer offer;                 ///< as it was signed; its bytes and so its id stay the same over restarts
  Seed draw_seed{};
  TimeMs queue_ms = 0, total_ms = 0;
  std::string state = "running";  ///< "running", "interrupted", or the word of its ending
  std::string reason;
  std::string waiting_for;     ///< while units wait and nobody works on any
  std::vector<UnitFailure> failures;  ///< the first max_failures_kept to be known
  std::int64_t empty = 0;      ///< good units that left no output
  std::int64_t open = 0, leased = 0, accepted = 0, failed = 0, disputed = 0, replicas = 0;
  Micro paid_micro = 0;
  ResultId result;             ///< zero while there is none
  std::array<std::uint8_t, 20> result_v1{};
  std::string result_name;
  std::int64_t result_bytes = 0;
  std::string out;             ///< folder for the outputs; once it is over: where they are, empty when they could not be saved there
  TimeMs updated_ms = 0;
  std::vector<std::string> explain;  ///< one line a farmer: "KEY: why"
  bool running() const { return state == "running" || state == "interrupted"; }  ///< to go on at the next run
};

inline constexpr std::size_t max_failures_kept = 16;

Bytes encode_task_record(const TaskRecord& record);
Result<TaskRecord> decode_task_record(std::string_view bytes);

/// The store of a home, beside a node that may be running; `not_found` when there is none yet.
Result<std::unique_ptr<Store>> open_store_for_reading(const Home& home);

inline constexpr const char* task_bucket = "task";
/// Of the newest offer of that task.
std::optional<TaskRecord> find_task_record(const Store& store, const TaskId& task);
/// All of them, older offers of the same task too, the newest first.
std::vector<TaskRecord> all_task_records(const Store& store);
/// By "last", or a unique prefix (≥ 6 hex digits) of a task or result id; of several offers of one task the newest.
Result<TaskRecord> match_task_record(const Store& store, const std::string& id);
/// Where the proof of a result is, as this node knows it.
inline constexpr const char* certificate_bucket = "certificate";
std::optional<CertificateAt> find_certificate(const Store& store, const ResultId& result);
/// Makes room for a new offer of the same task: the record stays, under a key of its own; if it was not over, it is now. Inside a transaction.
Result<void> retire_task_record(Store& store, TaskRecord record, TimeMs now);
/// Ends a task that no node works on: its holds are released, its record says `cancelled`. Inside a transaction of the caller's.
Result<void> cancel_stored_task(Store& store, TaskRecord record, TimeMs now);

}  // namespace tnode
