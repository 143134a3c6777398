// `tnode status`, `explain` and `cancel`: what this home's node knows of the tasks it offered. They work beside a running node.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <thread>

#include "cli/commands.h"
#include "cli/control.h"
#include "cli/magnets.h"
#include "cli/node.h"
#include "cli/output.h"
#include "cli/seed_report.h"
#include "cli/task_record.h"
#include "core/amount.h"
#include "core/bundle_paths.h"

namespace tnode {
namespace {

constexpr int cancel_wait_tries = 100;  // of 100 ms: until a running node says that it did

/// Where the node that offers it listens; after its end nobody may be there.
std::string endpoint_of(const TaskRecord& record) { return record.state == "running" ? record.offer.endpoint : ""; }

Json json_of(const TaskRecord& r) {
  Json json{{"task_id", to_hex(r.offer.task)}, {"name", r.offer.name}, {"state", r.state}};
  if (!r.reason.empty()) json["reason"] = r.reason;
  json.update(Json{{"units", r.offer.units}, {"open", r.open}, {"leased", r.leased}, {"accepted", r.accepted}, {"failed", r.failed}, {"disputed", r.disputed}, {"paid_micro", r.paid_micro},
                   {"created", static_cast<double>(r.offer.created_ms) / 1000.0}, {"updated", static_cast<double>(r.updated_ms) / 1000.0},
                   {"task_magnet", magnet_of(rename_id<Hash>(r.offer.task), r.offer.v1_hash, r.offer.name, endpoint_of(r))}});
  json["result_id"] = r.result.is_zero() ? Json() : Json(to_hex(r.result));
  json["result_magnet"] = r.result.is_zero() ? Json() : Json(magnet_of(rename_id<Hash>(r.result), r.result_v1, r.result_name, endpoint_of(r)));
  json["out"] = r.result.is_zero() || r.out.empty() ? Json() : Json(r.out);
  json["empty"] = r.empty;
  if (!r.failures.empty()) json["failures"] = failures_json(r);
  json["agree"] = r.offer.agree;
  return json;
}

std::string line_of(const TaskRecord& r) {
  char text[256];
  std::snprintf(text, sizeof text, "%-12s  %-11s  %6lld/%-6lld  %-24.24s  %s\n", short_hex(r.offer.task).c_str(), r.state.c_str(), static_cast<long long>(r.accepted + r.failed),
                static_cast<long long>(r.offer.units), r.offer.name.c_str(), (format_credits(r.paid_micro) + " credits").c_str());
  return text;
}

std::string details_of(const TaskRecord& r) {
  std::string text = "task      " + to_hex(r.offer.task) + "  \"" + r.offer.name + "\"\nstate     " + r.state + (r.reason.empty() ? "" : ": " + r.reason) + "\n";
  text += "units     " + std::to_string(r.offer.units) + ": " + std::to_string(r.open) + " open, " + std::to_string(r.leased) + " leased, " + std::to_string(r.accepted) + " accepted, " +
          std::to_string(r.failed) + " failed, " + std::to_string(r.disputed) + " disputed\n";
  text += "paid      " + format_credits(r.paid_micro) + " credits\n";
  if (!r.result.is_zero()) text += "result    " + to_hex(r.result) + "\nfiles     " + (r.out.empty() ? "not saved; `tnode get " + short_hex(r.result) + " --out DIR` has them" : r.out) + "\n";
  for (const auto& failure : r.failures) {
    text += "failed    " + failure_text(failure) + "\n";
    std::istringstream lines(failure.stderr_tail);
    for (std::string line; std::getline(lines, line);) text += "          | " + line + "\n";
  }
  return text;
}

/// A node that was killed could not write that it ended.
void say_whether_it_runs(const Home& home, TaskRecord& record) {
  if (record.state == "running" && !Store::has_writer(home.store_path())) record.state = "interrupted";
}

struct Found { Home home; std::unique_ptr<Store> store; TaskRecord record; };

Result<Found> find(const GlobalOptions& global, const std::string& id) {
  auto home = Home::find(global.home);
  if (!home) return home.error();
  auto store = open_store_for_reading(*home);
  if (!store) return store.error();
  auto record = match_task_record(**store, id);
  if (!record) return record.error();
  say_whether_it_runs(*home, *record);
  return Found{*home, std::move(*store), std::move(*record)};
}

}  // namespace

int run_status(const GlobalOptions& global, const std::string& id) {
  Output output(global);
  if (!id.empty()) {
    auto found = find(global, id);
    if (!found) return fail_with(found.error());
    output.answer(json_of(found->record), details_of(found->record), to_hex(found->record.offer.task));
    return exit_done;
  }
  auto home = Home::find(global.home);
  if (!home) return fail_with(home.error());
  auto store = open_store_for_reading(*home);
  if (!store) return fail_with(store.error());
  Json tasks = Json::array();
  std::string text, ids;
  for (auto& record : all_task_records(**store)) {
    say_whether_it_runs(*home, record);
    tasks.push_back(json_of(record));
    text += line_of(record);
    ids += (ids.empty() ? "" : "\n") + to_hex(record.offer.task);
  }
  if (text.empty()) text = "this node has offered no task yet\n";
  output.answer(Json{{"tasks", tasks}}, text, ids);
  return exit_done;
}

int run_explain(const GlobalOptions& global, const std::string& id) {
  Output output(global);
  auto found = find(global, id);
  if (!found) return fail_with(found.error());
  const TaskRecord& r = found->record;
  std::string why;
  if (!r.running()) why = "it is over: " + r.state + (r.reason.empty() ? "" : ", " + r.reason);
  else if (r.state == "interrupted") why = "no node works on it: the same `tnode seed` goes on with it, `tnode cancel` gives it up";
  else if (!r.waiting_for.empty()) why = r.waiting_for;
  else if (r.explain.empty()) why = "no farmer was met yet; is the DHT reachable, or does a --peer help? (tnode doctor)";
  else if (r.leased > 0) why = counted(r.leased, "unit") + (r.leased == 1 ? " is" : " are") + " being worked on";
  else if (r.open > 0) why = std::to_string(r.open) + " units wait for farmers; " + std::to_string(r.offer.agree) + " must agree on each";
  else why = "results are being fetched and paid";
  std::string text = details_of(r) + "why       " + why + "\n";
  for (const auto& line : r.explain) text += "          " + visible_text(line) + "\n";
  Json json = json_of(r);
  json["why"] = why;
  json["farmers"] = r.explain;
  output.answer(json, text, to_hex(r.offer.task));
  return exit_done;
}

int run_cancel(const GlobalOptions& global, const std::string& id) {
  Output output(global);
  auto found = find(global, id);
  if (!found) return fail_with(found.error());
  if (!found->record.running()) {
    output.line("it is over already: " + found->record.state);
    return exit_done;
  }
  auto key = found->home.existing_key();
  if (!key) return fail_with(key.error());
  const TaskId task = found->record.offer.task;
  found->store.reset();
  Store::Options write;
  write.path = found->home.store_path();
  write.key = key->key();
  write.signer = &*key;
  auto store = Store::open(write, wall_clock_ms());
  std::string state = "cancelled";
  if (store) {
    // A node may have ended it, and itself, since we looked.
    const auto record = find_task_record(**store, task);
    if (!record || !record->running()) {
      output.line("it is over already: " + (record ? record->state : found->record.state));
      return exit_done;
    }
    auto done = (*store)->begin();
    if (done) done = cancel_stored_task(**store, *record, wall_clock_ms());
    if (done) done = (*store)->commit();
    if (!done) return fail_with(done.error());
  } else {
    if (store.error().code != Code::unavailable) return fail_with(store.error());
    // The node that runs with this home does it.
    if (auto asked = ask_to_cancel(found->home, task); !asked) return fail_with(asked.error());
    bool over = false;
    for (int tries = 0; tries < cancel_wait_tries && !over; ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      auto read = open_store_for_reading(found->home);
      auto record = read ? find_task_record(**read, task) : std::nullopt;
      over = record && !record->running();
      if (over) state = record->state;
    }
    if (!over) return fail_with(fail(Code::timeout, "the node that runs with this home did not answer"));
  }
  // It may have ended in another way before it heard of us.
  output.answer(Json{{"task_id", to_hex(task)}, {"state", state}}, state + " " + to_hex(task) + "\n", to_hex(task));
  return exit_done;
}

}  // namespace tnode
