#include "cli/task_record.h"

#include <algorithm>

#include "core/dict_reader.h"

namespace tnode {
namespace {

constexpr std::int64_t most = std::int64_t{1} << 62;

template <std::size_t n>
bencode::Value raw(const std::array<std::uint8_t, n>& bytes) { return Bytes(reinterpret_cast<const char*>(bytes.data()), n); }

/// Takes back what is held for an offer, and forgets its awards.
Result<void> release_holds(Store& store, const OfferId& offer, TimeMs now) {
  std::vector<Bytes> keys;
  std::vector<Hash> refs;
  store.scan("award", [&](std::string_view key, std::string_view value) {
    if (value.size() < 64) return;
    auto award = decode_award(value.substr(0, value.size() - 64));
    if (!award || award->offer != offer) return;
    keys.emplace_back(key);
    refs.push_back(award_ref(award->task, award->units, award->award));
  });
  for (const Hash& ref : refs) {
    auto released = store.release(ref, Hash{}, now);
    if (!released && released.error().code != Code::exists) return released.error();
  }
  for (const Bytes& key : keys)
    if (auto erased = store.erase("award", key); !erased) return erased;
  return {};
}

void end_record(TaskRecord& record, TimeMs now) {
  record.state = "cancelled";
  record.reason.clear();
  record.waiting_for.clear();
  record.explain.clear();
  record.open += record.leased;
  record.leased = 0;
  record.updated_ms = now;
}

bencode::Value encoded(const UnitFailure& failure) {
  return bencode::Dictionary{{"detail", failure.detail}, {"exit", failure.outcome.exit_code}, {"index", failure.index}, {"outcome", outcome_word(failure.outcome.kind)},
                             {"stderr", failure.stderr_tail}, {"unit", static_cast<std::int64_t>(failure.unit)}};
}

std::optional<UnitFailure> decoded_failure(const bencode::Value& value) {
  bencode::DictReader reader(value);
  UnitFailure failure;
  failure.detail = reader.bytes("detail", 64 << 10);
  failure.outcome.exit_code = static_cast<int>(reader.number("exit", 0, 255));
  failure.index = reader.number("index", -1, most);
  const auto kind = outcome_from_word(reader.bytes("outcome", 32));
  failure.stderr_tail = reader.bytes("stderr", 64 << 10);
  failure.unit = static_cast<UnitNumber>(reader.number("unit", 0, most));
  if (!reader.finish() || !kind) return std::nullopt;
  failure.outcome.kind = *kind;
  return failure;
}

}  // namespace

std::string failure_text(const UnitFailure& failure) {
  std::string text = "unit " + std::to_string(failure.unit) + " failed";
  if (failure.index >= 0) text += " at index " + std::to_string(failure.index);
  text += ": " + std::string(outcome_word(failure.outcome.kind));
  if (failure.outcome.kind == OutcomeKind::exited) text += " with status " + std::to_string(failure.outcome.exit_code);
  return text + (failure.detail.empty() ? "" : ": " + failure.detail);
}

Bytes encode_task_record(const TaskRecord& r) {
  bencode::List explain;
  for (const auto& line : r.explain) explain.emplace_back(line);
  bencode::List failures;
  for (const auto& failure : r.failures) failures.push_back(encoded(failure));
  bencode::Dictionary dict{{"accepted", r.accepted}, {"disputed", r.disputed}, {"empty", r.empty}, {"explain", std::move(explain)}, {"failed", r.failed}, {"failures", std::move(failures)}, {"leased", r.leased},
                           {"offer", encode(r.offer)}, {"open", r.open}, {"out", r.out}, {"paid", r.paid_micro}, {"queue", r.queue_ms}, {"reason", r.reason},
                           {"replicas", r.replicas}, {"result", r.result.view()}, {"result bytes", r.result_bytes}, {"result name", r.result_name},
                           {"result v1", raw(r.result_v1)}, {"seed", raw(r.draw_seed)}, {"state", r.state}, {"total", r.total_ms}, {"updated", r.updated_ms}, {"waiting", r.waiting_for}};
  return bencode::encode(dict);
}

Result<TaskRecord> decode_task_record(std::string_view bytes) {
  auto value = bencode::decode(bytes);
  if (!value) return value.error();
  bencode::DictReader reader(*value);
  TaskRecord r;
  r.accepted = reader.number("accepted", 0, most);
  r.disputed = reader.number("disputed", 0, most);
  // Records of an earlier version have fewer keys.
  if (reader.has("empty")) r.empty = reader.number("empty", 0, most);
  for (const auto& line : reader.list("explain", 100'000))
    if (line.bytes()) r.explain.push_back(*line.bytes());
  r.failed = reader.number("failed", 0, most);
  if (reader.has("failures"))
    for (const auto& each : reader.list("failures", max_failures_kept))
      if (auto failure = decoded_failure(each)) r.failures.push_back(std::move(*failure));
  r.leased = reader.number("leased", 0, most);
  auto offer = decode_offer(reader.bytes("offer", 64 << 10));
  if (!offer) return offer.error();
  r.offer = std::move(*offer);
  r.open = reader.number("open", 0, most);
  r.out = reader.bytes("out", 64 << 10);
  r.paid_micro = reader.number("paid", 0, most);
  r.queue_ms = reader.number("queue", 0, most);
  r.reason = reader.bytes("reason", 64 << 10);
  r.replicas = reader.number("replicas", 0, most);
  reader.id("result", r.result);
  r.result_bytes = reader.number("result bytes", 0, most);
  r.result_name = reader.bytes("result name", 256);
  reader.fixed("result v1", r.result_v1);
  reader.fixed("seed", r.draw_seed);
  r.state = reader.bytes("state", 32);
  r.total_ms = reader.number("total", 0, most);
  r.updated_ms = reader.number("updated", 0, most);
  if (reader.has("waiting")) r.waiting_for = reader.bytes("waiting", 64 << 10);
  if (auto good = reader.finish(); !good) return good.error();
  return r;
}

Result<std::unique_ptr<Store>> open_store_for_reading(const Home& home) {
  auto key = home.existing_key();
  if (!key) return key.error();
  Store::Options read;
  read.path = home.store_path();
  read.key = key->key();
  read.read_only = true;
  return Store::open(read, 0);
}

std::optional<TaskRecord> find_task_record(const Store& store, const TaskId& task) {
  auto bytes = store.get(task_bucket, task.view());
  if (!bytes) return std::nullopt;
  auto record = decode_task_record(*bytes);
  if (!record) return std::nullopt;
  return std::move(*record);
}

std::vector<TaskRecord> all_task_records(const Store& store) {
  std::vector<TaskRecord> records;
  store.scan(task_bucket, [&](std::string_view, std::string_view bytes) {
    if (auto record = decode_task_record(bytes)) records.push_back(std::move(*record));
  });
  std::sort(records.begin(), records.end(), [](const TaskRecord& a, const TaskRecord& b) { return a.offer.created_ms > b.offer.created_ms; });
  return records;
}

Result<TaskRecord> match_task_record(const Store& store, const std::string& id) {
  auto records = all_task_records(store);
  if (records.empty()) return fail(Code::not_found, "this node has offered no task yet");
  if (id == "last") return records.front();
  constexpr std::size_t shortest = 6;
  if (id.size() < shortest) return fail(Code::invalid, "'" + id + "' is too short: give at least 6 hex digits of a task's id, or 'last'");
  std::vector<TaskRecord> fitting;
  for (auto& record : records)
    if (to_hex(record.offer.task).starts_with(id) || (!record.result.is_zero() && to_hex(record.result).starts_with(id))) fitting.push_back(record);
  if (fitting.empty()) return fail(Code::not_found, "no task of this node has an id that starts with '" + id + "'; `tnode status` lists them");
  const bool one_task = std::all_of(fitting.begin(), fitting.end(), [&](const TaskRecord& record) { return record.offer.task == fitting.front().offer.task; });
  if (!one_task) return fail(Code::invalid, "'" + id + "' fits " + std::to_string(fitting.size()) + " tasks; give more digits");
  return fitting.front();
}

std::optional<CertificateAt> find_certificate(const Store& store, const ResultId& result) {
  auto value = store.get(certificate_bucket, result.view());
  if (!value || value->size() != 52) return std::nullopt;
  CertificateAt at{result, *Hash::from_bytes(value->substr(0, 32)), {}};
  for (std::size_t i = 0; i < 20; ++i) at.certificate_v1[i] = static_cast<std::uint8_t>((*value)[32 + i]);
  return at;
}

Result<void> retire_task_record(Store& store, TaskRecord record, TimeMs now) {
  const OfferId offer = offer_id(encode(record.offer));
  if (record.running()) {
    if (auto released = release_holds(store, offer, now); !released) return released;
    end_record(record, now);
    record.reason = "offered anew";
  }
  return store.put(task_bucket, Bytes(record.offer.task.view()) + Bytes(offer.view()), encode_task_record(record));
}

Result<void> cancel_stored_task(Store& store, TaskRecord record, TimeMs now) {
  if (auto released = release_holds(store, offer_id(encode(record.offer)), now); !released) return released;
  end_record(record, now);
  return store.put(task_bucket, record.offer.task.view(), encode_task_record(record));
}

}  // namespace tnode
