#include "executor/wire.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "core/dict_reader.h"

namespace tnode {
namespace {

using bencode::Dictionary;
using bencode::DictReader;
using bencode::List;
using bencode::Value;

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t any_size = max_runner_frame;

struct Header { std::uint32_t kind = 0, length = 0; };

List pairs(const std::vector<std::pair<std::string, std::string>>& from) {
  List list;
  for (const auto& [a, b] : from) list.push_back(List{a, b});
  return list;
}

std::string text_of(const Value& value) { return value.bytes() ? *value.bytes() : std::string(); }

}  // namespace

Bytes encode_request(const ExecutionRequest& r) {
  List invocations, outputs, warm;
  Dictionary warm_env;
  for (const auto& run : r.invocations) {
    List argv;
    for (const auto& part : run.argv) argv.emplace_back(part);
    Dictionary env;
    for (const auto& [key, value] : run.env) env[key] = value;
    invocations.push_back(List{run.index, std::move(argv), std::move(env)});
  }
  for (const auto& pattern : r.outputs) outputs.emplace_back(pattern);
  for (const auto& part : r.warm) warm.emplace_back(part);
  for (const auto& [key, value] : r.warm_env) warm_env[key] = value;
  const RunLimits& l = r.limits;
  return bencode::encode(Dictionary{
      {"foreign", pairs(r.foreign_inputs)}, {"invocations", std::move(invocations)}, {"job", static_cast<std::int64_t>(r.job)},
      {"limits", List{l.wall_ms, l.cpus, l.memory_bytes, l.disk_bytes, l.processes, l.open_files, l.output_files, l.stdio_bytes}},
      {"outputs", std::move(outputs)}, {"result", r.result_dir}, {"runtime", r.runtime_dir}, {"task", r.task_dir}, {"task hex", r.task_hex}, {"warm", std::move(warm)}, {"warm env", std::move(warm_env)}});
}

Result<ExecutionRequest> decode_request(std::string_view bytes) {
  auto value = bencode::decode(bytes);
  if (!value) return value.error();
  ExecutionRequest r;
  DictReader reader(*value);
  for (const auto& pair : reader.list("foreign", max_foreign_inputs))
    if (pair.list() && pair.list()->size() == 2) r.foreign_inputs.emplace_back(text_of((*pair.list())[0]), text_of((*pair.list())[1]));
  for (const auto& item : reader.list("invocations", max_indices)) {
    const auto* parts = item.list();
    if (!parts || parts->size() != 3 || !(*parts)[0].integer() || !(*parts)[1].list() || !(*parts)[2].dictionary()) return fail(Code::invalid, "a broken invocation");
    Invocation run;
    run.index = *(*parts)[0].integer();
    for (const auto& part : *(*parts)[1].list()) run.argv.push_back(text_of(part));
    for (const auto& [key, text] : *(*parts)[2].dictionary()) run.env[key] = text_of(text);
    r.invocations.push_back(std::move(run));
  }
  r.job = static_cast<std::uint64_t>(reader.number("job", 0, most));
  RunLimits& l = r.limits;
  std::int64_t* fields[] = {&l.wall_ms, &l.cpus, &l.memory_bytes, &l.disk_bytes, &l.processes, &l.open_files, &l.output_files, &l.stdio_bytes};
  const List& limits = reader.list("limits", std::size(fields));
  for (std::size_t i = 0; i < limits.size(); ++i)
    if (limits[i].integer()) *fields[i] = *limits[i].integer();
  for (const auto& pattern : reader.list("outputs", max_outputs)) r.outputs.push_back(text_of(pattern));
  r.result_dir = reader.bytes("result", any_size);
  r.runtime_dir = reader.bytes("runtime", any_size);
  r.task_dir = reader.bytes("task", any_size);
  r.task_hex = reader.bytes("task hex", any_size);
  for (const auto& part : reader.list("warm", max_command_parts)) r.warm.push_back(text_of(part));
  for (const auto& [key, text] : reader.dictionary("warm env", any_size)) r.warm_env[key] = text_of(text);
  if (auto good = reader.finish(); !good) return good.error();
  return r;
}

Bytes encode_report(const ExecutionReport& r) {
  List files;
  for (const auto& file : r.files) files.push_back(List{file.path, file.size, std::int64_t{file.executable}});
  return bencode::encode(Dictionary{
      {"detail", r.failure_detail}, {"exit", r.outcome.exit_code}, {"failed", r.failed_index}, {"files", std::move(files)}, {"job", static_cast<std::int64_t>(r.job)},
      {"outcome", static_cast<std::int64_t>(r.outcome.kind)}, {"problem", r.problem}, {"ran", std::int64_t{r.ran}}, {"stderr", r.stderr_tail}, {"stdout", r.stdout_tail},
      {"usage", List{r.usage.wall_ms, r.usage.cpu_ms, r.usage.peak_memory_bytes}}});
}

Result<ExecutionReport> decode_report(std::string_view bytes) {
  auto value = bencode::decode(bytes);
  if (!value) return value.error();
  ExecutionReport r;
  DictReader reader(*value);
  r.failure_detail = reader.bytes("detail", any_size);
  r.outcome.exit_code = static_cast<int>(reader.number("exit", 0, 255));
  r.failed_index = reader.number("failed", -1, most);
  for (const auto& item : reader.list("files", any_size)) {
    const auto* parts = item.list();
    if (!parts || parts->size() != 3 || !(*parts)[1].integer() || !(*parts)[2].integer()) return fail(Code::invalid, "a broken file entry");
    r.files.push_back({text_of((*parts)[0]), *(*parts)[1].integer(), *(*parts)[2].integer() == 1});
  }
  r.job = static_cast<std::uint64_t>(reader.number("job", 0, most));
  r.outcome.kind = static_cast<OutcomeKind>(reader.number("outcome", 0, static_cast<std::int64_t>(OutcomeKind::result_limit)));
  r.problem = reader.bytes("problem", any_size);
  r.ran = reader.number("ran", 0, 1) == 1;
  r.stderr_tail = reader.bytes("stderr", any_size);
  r.stdout_tail = reader.bytes("stdout", any_size);
  const List& usage = reader.list("usage", 3);
  std::int64_t* fields[] = {&r.usage.wall_ms, &r.usage.cpu_ms, &r.usage.peak_memory_bytes};
  for (std::size_t i = 0; i < usage.size(); ++i)
    if (usage[i].integer()) *fields[i] = *usage[i].integer();
  if (auto good = reader.finish(); !good) return good.error();
  return r;
}

Bytes encode_hello(const RunnerHello& hello) {
  return bencode::encode(bencode::Dictionary{{"bounds memory", std::int64_t{hello.bounds_memory}}, {"cpu", hello.cpu_mode}, {"limits", hello.limit_mode}, {"limits problem", hello.limit_problem},
                                             {"pause", hello.pause_mode}, {"problem", hello.problem}, {"scoped", std::int64_t{hello.scoped}}, {"usage", hello.usage_path}, {"user", hello.user}});
}

Result<RunnerHello> decode_hello(std::string_view bytes) {
  auto value = bencode::decode(bytes);
  if (!value) return value.error();
  bencode::DictReader reader(*value);
  RunnerHello hello;
  hello.bounds_memory = reader.number("bounds memory", 0, 1) == 1;
  hello.cpu_mode = reader.bytes("cpu", 64);
  hello.limit_mode = reader.bytes("limits", 64);
  hello.limit_problem = reader.bytes("limits problem", 4096);
  hello.pause_mode = reader.bytes("pause", 64);
  hello.problem = reader.bytes("problem", 4096);
  hello.scoped = reader.number("scoped", 0, 1) == 1;
  hello.usage_path = reader.bytes("usage", 4096);
  hello.user = reader.bytes("user", 64);
  if (auto good = reader.finish(); !good) return good.error();
  return hello;
}

bool send_frame(int socket, RunnerFrame kind, std::string_view body) {
  const Header header{static_cast<std::uint32_t>(kind), static_cast<std::uint32_t>(body.size())};
  Bytes frame(reinterpret_cast<const char*>(&header), sizeof header);
  frame += body;
  for (std::string_view rest = frame; !rest.empty();) {
    ssize_t sent = send(socket, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::optional<Frame> next_frame(std::string_view received, std::size_t& at) {
  Header header;
  const std::size_t size = received.size() - at;
  if (size < sizeof header) return std::nullopt;
  std::memcpy(&header, received.data() + at, sizeof header);
  if (size - sizeof header < header.length) return std::nullopt;
  const Frame frame{static_cast<RunnerFrame>(header.kind), received.substr(at + sizeof header, header.length)};
  at += sizeof header + header.length;
  return frame;
}

}  // namespace tnode
