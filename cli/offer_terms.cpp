#include "cli/offer_terms.h"

#include <sys/random.h>

#include <cctype>

#include "cli/node.h"
#include "cli/quantities.h"
#include "core/amount.h"

namespace tnode {
namespace {

constexpr std::size_t max_file_name = 100;

Result<Offer> make_offer(const Node& node, const PackedTask& task, const Seed& draw_seed) {
  const std::string endpoint = node.swarm().listen_endpoint();
  Offer offer;
  offer.task = rename_id<TaskId>(task.bundle.torrent.v2_hash);
  offer.v1_hash = task.bundle.torrent.v1_hash;
  offer.requester = node.key().key();
  offer.name = task.terms.name;
  // An address that stands for all of this machine's is none that others could dial.
  offer.endpoint = endpoint.starts_with("0.0.0.0") || endpoint.starts_with("[::]") ? "" : endpoint;
  offer.units = unit_count(task.spec);
  offer.batch = task.spec.array.batch;
  offer.max_price_micro = task.terms.max_price_micro;
  offer.agree = task.terms.agree;
  offer.max_replicas = task.terms.max_replicas;
  offer.adaptive = task.terms.adaptive;
  offer.created_ms = node.now();
  offer.expires_ms = node.now() + task.terms.total_ms;
  offer.run_ms = task.terms.run_ms;
  offer.resources = task.spec.resources;
  offer.runtime = task.spec.runtime;
  offer.warm = task.terms.warm;
  offer.draw_commitment = sha256({reinterpret_cast<const char*>(draw_seed.data()), draw_seed.size()});
  // The receiver's bounds are ours too: an offer that nobody could read is not made.
  auto readable = decode_offer(encode(offer));
  if (!readable) return fail(Code::invalid, "the task's terms are out of bounds: " + readable.error().message);
  return offer;
}

}  // namespace

Result<NewRecord> record_for(const Node& node, const PackedTask& task, const std::string& out, bool go_on) {
  auto known = find_task_record(node.store(), rename_id<TaskId>(task.bundle.torrent.v2_hash));
  if (known && known->running() && go_on) {
    known->out = out;
    known->state = "running";
    known->reason.clear();
    return NewRecord{std::move(*known), true};
  }
  TaskRecord record;
  if (getrandom(record.draw_seed.data(), record.draw_seed.size(), 0) != static_cast<ssize_t>(record.draw_seed.size())) return fail(Code::io, "no randomness to be had");
  auto offer = make_offer(node, task, record.draw_seed);
  if (!offer) return offer.error();
  record.offer = std::move(*offer);
  record.queue_ms = task.terms.queue_ms;
  record.total_ms = task.terms.total_ms;
  record.out = out;
  return NewRecord{std::move(record), false};
}

std::string differing_terms(const TaskRecord& record, const Terms& terms) {
  std::string text;
  auto compare = [&](const char* key, std::int64_t stands, std::int64_t asked, std::string (*shown)(std::int64_t)) {
    if (stands != asked) text += (text.empty() ? "" : ", ") + std::string(key) + " is " + shown(stands) + ", not " + shown(asked);
  };
  auto plain = [](std::int64_t number) { return std::to_string(number); };
  const Offer& offer = record.offer;
  compare("quorum.agree", offer.agree, terms.agree, plain);
  compare("quorum.max", offer.max_replicas, terms.max_replicas, plain);
  compare("quorum.adaptive", offer.adaptive, terms.adaptive, [](std::int64_t yes) { return std::string(yes ? "true" : "false"); });
  compare("market.max_price", offer.max_price_micro, terms.max_price_micro, format_credits);
  compare("timeouts.run", offer.run_ms, terms.run_ms, format_duration);
  compare("timeouts.queue", record.queue_ms, terms.queue_ms, format_duration);
  compare("timeouts.total", record.total_ms, terms.total_ms, format_duration);
  return text;
}

std::string file_name_of(const std::string& name) {
  std::string text;
  for (char c : name) text += std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || (c & 0x80) ? c : '-';
  while (!text.empty() && (text.front() == '.' || text.front() == '-')) text.erase(0, 1);
  return text.empty() ? "task" : text.substr(0, max_file_name);
}

}  // namespace tnode
