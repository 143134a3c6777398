// task.yaml: what is read, and every mistake with its place.
#include "cli/task_file.h"

#include "cli/bundle_disk.h"
#include "core/messages.h"
#include "core/runtime.h"
#include "tests/catch.h"
#include "tests/temp_dir.h"

using namespace tnode;

namespace {

const std::string some_hash(64, 'a');

/// A folder with a script, a scene and a list to name in inputs.
struct Folder : TempDir {
  Folder() {
    write_file(path + "/render.py", "print()\n");
    write_file(path + "/scenes/glass/a.json", "{}");
    write_file(path + "/lists/names.txt", "ann\nbob\r\n\ncyd");
    std::filesystem::create_symlink("render.py", path + "/link.py");
  }
  TaskFileResult read(const std::string& text, const std::vector<std::string>& overrides = {}) const { return read_task_text(text, "task.yaml", path, overrides); }
  /// A minimal task with more lines after it.
  TaskFileResult with(const std::string& lines) const { return read("tnode: 1\ncommand: [true]\n" + lines); }
  TaskFile good(const std::string& text, const std::vector<std::string>& overrides = {}) const {
    auto result = read(text, overrides);
    for (const auto& problem : result.problems) UNSCOPED_INFO(problem.shown());
    REQUIRE(result.problems.empty());
    REQUIRE(result.task);
    return *result.task;
  }
  /// The only problem of a task with these lines, as a person sees it.
  std::string problem(const std::string& lines) const {
    auto result = with(lines);
    CHECK_FALSE(result.task);
    for (const auto& p : result.problems) UNSCOPED_INFO(p.shown());
    REQUIRE(result.problems.size() == 1);
    return result.problems[0].shown();
  }
};

bool has(const std::string& text, const std::string& part) {
  UNSCOPED_INFO("'" << text << "' has '" << part << "'");
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the_whole_example_of_the_reference_is_read") {
  Folder folder;
  const TaskFile task = folder.good(R"(
tnode: 1
name: render-glass
command: [python3, in/render.py, --frame, "{index}", --out, "out/frame-{index}.png"]
env: {OMP_NUM_THREADS: "1"}
runtime: host
inputs:
  - ./render.py
  - {from: ./scenes/glass, to: scene}
  - {from: "magnet:?xt=urn:btmh:1220)" + some_hash + R"(&dn=data", to: data}
outputs: ["out/**"]
array: {range: 0-59, batch: 10}
resources: {cpus: 2, memory: 1GiB, disk: 64MiB}
timeouts: {queue: 10m, run: 90s, total: 2h}
quorum: {agree: 3, max: 7}
market: {max_price: 2.5}
)");
  CHECK(task.terms.name == "render-glass");
  CHECK(task.spec.command == std::vector<std::string>{"python3", "in/render.py", "--frame", "{index}", "--out", "out/frame-{index}.png"});
  CHECK(task.spec.env.at("OMP_NUM_THREADS") == "1");
  REQUIRE(task.inputs.size() == 2);
  CHECK(task.inputs[0].from == folder.path + "/render.py");
  CHECK(task.inputs[0].to == "render.py");
  CHECK(task.inputs[1].from == folder.path + "/scenes/glass");
  CHECK(task.inputs[1].to == "scene");
  REQUIRE(task.spec.foreign_inputs.size() == 1);
  CHECK(task.spec.foreign_inputs[0].to == "data");
  CHECK(to_hex(task.spec.foreign_inputs[0].v2_hash) == some_hash);
  CHECK(task.linked_inputs[0].magnet.name == "data");
  CHECK(task.spec.array.first == 0);
  CHECK(task.spec.array.last == 59);
  CHECK(task.spec.array.batch == 10);
  CHECK(task.spec.resources == Resources{2, 1LL << 30, 64LL << 20});
  CHECK(task.terms.queue_ms == 600'000);
  CHECK(task.terms.run_ms == 90'000);
  CHECK(task.terms.total_ms == 7'200'000);
  CHECK(task.terms.agree == 3);
  CHECK(task.terms.max_replicas == 7);
  CHECK(task.terms.max_price_micro == 2'500'000);
}

TEST_CASE("only_version_and_command_are_required_and_defaults_fill_the_rest") {
  Folder folder;
  const TaskFile task = folder.good("tnode: 1\ncommand: [sleep, 5]\n");
  CHECK(task.spec.command == std::vector<std::string>{"sleep", "5"});
  CHECK(index_count(task.spec) == 1);
  CHECK(task.spec.array.first == 0);
  CHECK(task.spec.resources == Resources{1, 512LL << 20, 256LL << 20});
  CHECK(task.spec.outputs == std::vector<std::string>{"out/**"});
  CHECK(task.terms.queue_ms == 600'000);
  CHECK(task.terms.run_ms == 300'000);
  CHECK(task.terms.total_ms == 86'400'000);
  CHECK(task.terms.agree == 2);
  CHECK(task.terms.max_replicas == 5);
  CHECK(task.terms.max_price_micro == credit_micro);
  CHECK(task.terms.name == std::filesystem::path(folder.path).filename().string());
}

TEST_CASE("all_mistakes_are_reported_at_once_each_with_its_place") {
  Folder folder;
  auto result = folder.read("tnode: 1\ncomand: [true]\nouputs: [x]\ninputs: [./rendr.py]\ntimeouts:\n  run: 10\nresources: {memory: lots, cpus: many}\n");
  CHECK_FALSE(result.task);
  std::string all;
  for (const auto& problem : result.problems) all += problem.shown() + "\n";
  CHECK(has(all, "task.yaml:1:1: the key 'command' is missing"));
  CHECK(has(all, "task.yaml:2:1: unknown key 'comand'; did you mean 'command'?"));
  CHECK(has(all, "task.yaml:3:1: unknown key 'ouputs'; did you mean 'outputs'?"));
  CHECK(has(all, "task.yaml:4:10: there is no file or folder './rendr.py' (looked for " + folder.path + "/rendr.py); did you mean './render.py'?"));
  CHECK(has(all, "task.yaml:6:8: '10' is not a duration with its unit, such as 500ms, 30s, 10m, 1h30m or 2d; did you mean '10s'?"));
  CHECK(has(all, "task.yaml:7:21: 'lots' is not a size with its unit"));
  CHECK(has(all, "task.yaml:7:33: expected a number of processor cores, a whole number from 1 to 1024, not 'many'"));
  CHECK(result.problems.size() == 7);
}

TEST_CASE("a_shell_line_as_command_is_refused_and_the_list_is_shown") {
  Folder folder;
  auto result = folder.read("tnode: 1\ncommand: echo hi > out/x\n");
  REQUIRE(result.problems.size() == 1);
  CHECK(result.problems[0].shown() == "task.yaml:2:10: expected the program and its arguments as a list, such as [sh, -c, \"…\"] for a shell line, not 'echo hi > out/x'");
}

TEST_CASE("versions_are_told_apart") {
  Folder folder;
  CHECK(has(folder.read("tnode: 2\ncommand: [true]\n").problems.at(0).shown(), "task.yaml:1:8: this task needs a newer tnode"));
  CHECK(has(folder.read("tnode: one\ncommand: [true]\n").problems.at(0).shown(), "task.yaml:1:8: expected the version of this format"));
  CHECK(has(folder.read("command: [true]\n").problems.at(0).shown(), "the key 'tnode' is missing"));
}

TEST_CASE("a_key_in_the_wrong_section_is_shown_its_own") {
  Folder folder;
  CHECK(has(folder.problem("memory: 1GiB\n"), "task.yaml:3:1: unknown key 'memory'; did you mean 'resources.memory'?"));
  CHECK(has(folder.problem("quorum: {timeouts: {}}\n"), "'timeouts' belongs at the top"));
  CHECK(has(folder.problem("quorum: {zzzzzzz: 1}\n"), "known here: agree, max"));
}

TEST_CASE("duplicate_keys_are_refused") {
  Folder folder;
  CHECK(has(folder.problem("name: a\nname: b\n"), "task.yaml:4:1: the key 'name' is there twice; the first is on line 3"));
}

TEST_CASE("wrong_types_are_refused_one_by_one") {
  Folder folder;
  CHECK(has(folder.problem("name: [a]\n"), "task.yaml:3:7: expected a name, not a list"));
  CHECK(has(folder.problem("name: ../up\n"), "slashes"));
  CHECK(has(folder.problem("env: [A]\n"), "expected a map of variables"));
  CHECK(has(folder.problem("env: {TNODE_INDEX: 1}\n"), "set by tnode"));
  CHECK(has(folder.problem("env: {\"A=B\": 1}\n"), "no name of an environment variable"));
  CHECK(has(folder.problem("env: {A: null}\n"), "needs quotes"));
  CHECK(has(folder.problem("env: {A: \"a\\0b\"}\n"), "zero byte"));
  CHECK(has(folder.problem("inputs: ./render.py\n"), "expected a list of files"));
  CHECK(has(folder.problem("outputs: [/etc/passwd]\n"), "task.yaml:3:11: the outputs pattern '/etc/passwd' is not below out/"));
  CHECK(has(folder.problem("outputs: [out/../x]\n"), "leave its folder"));
  CHECK(has(folder.problem("outputs: []\n"), "outputs is empty"));
  CHECK(has(folder.problem("resources: {cpus: 0}\n"), "from 1 to 1024, not '0'"));
  CHECK(has(folder.problem("resources: {memory: 10B}\n"), "out of bounds: at least 1 MiB"));
  CHECK(has(folder.problem("timeouts: {run: 2h, total: 1h}\n"), "task.yaml:3:28: timeouts.total (1h) is shorter than timeouts.run (2h)"));
  CHECK(has(folder.problem("timeouts: {run: [1m]}\n"), "expected a duration with its unit"));
  CHECK(has(folder.problem("market: {max_price: -1}\n"), "expected an amount of credits"));
  CHECK(has(folder.problem("market: {max_price: 0.0000001}\n"), "at most six decimals"));
  CHECK(has(folder.problem("name: !!str x\n"), "tags"));
  CHECK(has(folder.read("- a\n- b\n").problems.at(0).shown(), "expected a map of keys"));
  CHECK(has(folder.read("").problems.at(0).shown(), "task.yaml: is empty"));
}

TEST_CASE("quorum_bounds_hold") {
  Folder folder;
  CHECK(folder.good("tnode: 1\ncommand: [true]\nquorum: {agree: 1}\n").terms.agree == 1);
  CHECK(folder.good("tnode: 1\ncommand: [true]\nquorum: {agree: 9}\n").terms.max_replicas == 9);
  CHECK(has(folder.problem("quorum: {agree: 3, max: 2}\n"), "task.yaml:3:25: expected at how many replicas to give up, at least quorum.agree, a whole number from 3 to 64, not '2'"));
  CHECK(has(folder.problem("quorum: {agree: 0}\n"), "from 1 to 64"));
  CHECK(has(folder.problem("quorum: {agree: \"2\"}\n"), "not '2' in quotes"));
}

TEST_CASE("arrays_come_as_range_values_or_lines") {
  Folder folder;
  auto spec = folder.good("tnode: 1\ncommand: [echo, \"{value}\"]\narray: {values: [a, 1, \"\"], batch: 2}\n").spec;
  CHECK(spec.array.values == std::vector<std::string>{"a", "1", ""});
  CHECK(unit_count(spec) == 2);
  spec = folder.good("tnode: 1\ncommand: [echo, \"{value}\"]\ninputs: [lists]\narray: {lines: in/lists/names.txt}\n").spec;
  CHECK(spec.array.values == std::vector<std::string>{"ann", "bob", "cyd"});
  spec = folder.good("tnode: 1\ncommand: [echo, \"{index}\"]\narray: {range: 5-5}\n").spec;
  CHECK(spec.array.first == 5);
  CHECK(index_count(spec) == 1);

  CHECK(has(folder.problem("array: {range: 5-4}\n"), "ends before it begins"));
  CHECK(has(folder.problem("array: {range: 7}\n"), "expected FIRST-LAST"));
  CHECK(has(folder.problem("array: {range: 0-99999999999}\n"), "more than 10000000 indices"));
  CHECK(has(folder.problem("array: {range: 0-9, values: [a]}\n"), "exactly one of"));
  CHECK(has(folder.problem("array: {batch: 3}\n"), "exactly one of"));
  CHECK(has(folder.problem("array: {range: 0-9, batch: 0}\n"), "from 1 to 10000000"));
  CHECK(has(folder.problem("array: {range: 0-9999999}\n"), "use a larger batch"));
  CHECK(has(folder.problem("array: {lines: names.txt}\n"), "'in/names.txt', with the file among the inputs"));
  CHECK(has(folder.problem("array: {lines: in/names.txt}\n"), "in none of the local inputs"));
  CHECK(has(folder.problem("inputs: [lists]\narray: {lines: in/lists/nobody.txt}\n"), "no regular file"));
  CHECK(has(folder.problem("inputs: [lists]\narray: {lines: in/lists}\n"), "no regular file"));
}

TEST_CASE("value_without_values_is_refused_where_it_stands") {
  Folder folder;
  auto result = folder.read("tnode: 1\ncommand: [echo, \"{value}\"]\narray: {range: 0-3}\n");
  REQUIRE(result.problems.size() == 1);
  CHECK(result.problems[0].shown() == "task.yaml:2:17: uses {value}, but the task has no array.values or array.lines");
}

TEST_CASE("inputs_are_files_folders_and_magnets_and_never_links") {
  Folder folder;
  CHECK(has(folder.problem("inputs: [./link.py]\n"), "is a symbolic link"));
  CHECK(has(folder.problem("inputs: [render.py, {from: scenes, to: render.py}]\n"), "it is there twice"));
  CHECK(has(folder.problem("inputs: [render.py, {from: scenes, to: RENDER.py}]\n"), "differ only in case"));
  CHECK(has(folder.problem("inputs: [{from: scenes, to: a}, {from: render.py, to: a/b}]\n"), "a file and a folder at once"));
  CHECK(has(folder.problem("inputs: [{from: scenes, to: ../up}]\n"), "leave its folder"));
  std::filesystem::create_directories(folder.path + "/empty/inside");
  CHECK(has(folder.problem("inputs: [empty]\n"), "task.yaml:3:10: the folder 'empty' holds no files"));
  std::filesystem::create_symlink("/etc", folder.path + "/scenes/etc");
  CHECK(has(folder.problem("inputs: [scenes]\n"), "task.yaml:3:10: " + folder.path + "/scenes/etc is a symbolic link"));
  std::filesystem::remove(folder.path + "/scenes/etc");
  CHECK(has(folder.problem("inputs: [{to: x}]\n"), "the key 'from' is missing"));
  CHECK(has(folder.problem("inputs: [{from: scenes, too: x}]\n"), "did you mean 'to'?"));
  CHECK(has(folder.problem("inputs: [/dev/null]\n"), "neither a file nor a folder"));
  CHECK(has(folder.problem("inputs: [\"magnet:?xt=urn:btmh:1220" + some_hash + "\"]\n"), "needs 'to'"));
  CHECK(has(folder.problem("inputs: [{from: \"magnet:?xt=urn:btih:" + std::string(40, 'b') + "\", to: x}]\n"), "no v2 hash"));
  CHECK(has(folder.problem("inputs: [{from: \"magnet:?xt=nonsense\", to: x}]\n"), "task.yaml:3:17"));
  CHECK(folder.good("tnode: 1\ncommand: [true]\ninputs: [./scenes/]\n").inputs.at(0).to == "scenes");
  CHECK(folder.good("tnode: 1\ncommand: [true]\ninputs: [{from: scenes, to: in/x}]\n").inputs.at(0).to == "x");
}

TEST_CASE("a_runtime_is_host_a_v2_magnet_or_a_torrent") {
  Folder folder;
  const auto task = folder.good("tnode: 1\ncommand: [true]\nruntime: \"magnet:?xt=urn:btmh:1220" + some_hash + "&dn=debian&x.pe=127.0.0.1:99\"\n");
  CHECK(task.spec.runtime == "magnet:?xt=urn:btmh:1220" + some_hash);
  CHECK(task.terms.runtime_peers == std::vector<std::string>{"127.0.0.1:99"});
  std::string many = "tnode: 1\ncommand: [true]\nruntime: \"magnet:?xt=urn:btmh:1220" + some_hash;
  for (int port = 1; port <= 9; ++port) many += "&x.pe=127.0.0.1:" + std::to_string(port);
  const auto told = folder.read(many + "\"\n");
  REQUIRE(told.task);
  CHECK(told.task->terms.runtime_peers.size() == max_runtime_peers);
  REQUIRE(told.warnings.size() == 1);
  CHECK(has(told.warnings[0].shown(), "the first 4 x.pe addresses"));
  // The torrent that `tnode runtime pack` writes, beside task.yaml.
  auto bytes = [&](const std::string& name) {
    write_file(folder.path + "/bundle/" + name + "/manifest", "m");
    write_file(folder.path + "/bundle/" + name + "/root.tar", "t");
    return hash_folder(folder.path + "/bundle/" + name, name)->bytes;
  };
  write_file(folder.path + "/debian.torrent", bytes("tnode-runtime-0123456789abcdef"));
  write_file(folder.path + "/other.torrent", bytes("tnode-task-0123456789abcdef"));
  CHECK(runtime_id(folder.good("tnode: 1\ncommand: [true]\nruntime: ./debian.torrent\n").spec.runtime).ok());
  CHECK(has(folder.problem("runtime: other.torrent\n"), "'other.torrent' is no torrent of a runtime; `tnode runtime pack` makes one"));
  CHECK(has(folder.problem("runtime: none.torrent\n"), "there is no file 'none.torrent'"));
  CHECK(has(folder.problem("runtime: hots\n"), "did you mean 'host'?"));
  CHECK(has(folder.problem("runtime: docker\n"), "expected 'host', or a root file system by its magnet link or .torrent"));
}

TEST_CASE("warm_is_a_hint_for_python_or_part_of_the_task") {
  Folder folder;
  const std::string python = "tnode: 1\ncommand: [python3, -c, pass]\n";
  const auto plain = folder.good(python), hinted = folder.good(python + "warm: python3\n");
  CHECK(hinted.terms.warm == "python3");
  CHECK(hinted.spec == plain.spec);
  const auto modules = folder.good(python + "warm: {python3: [json, os.path]}\n");
  CHECK(modules.terms.warm.empty());
  CHECK(modules.spec.warm == std::vector<std::string>{"python3", warm_python_path, "json", "os.path"});
  CHECK(folder.good("tnode: 1\ncommand: [x]\nwarm: [in/server, a]\n").spec.warm == std::vector<std::string>{"in/server", "a"});
  CHECK(has(folder.problem("warm: python3"), "begins with python3"));
  CHECK(has(folder.problem("warm: ruby"), "expected 'python3'"));
  CHECK(has(folder.problem("warm: {ruby: [x]}"), "expected 'python3'"));
  CHECK(has(folder.problem("warm: []"), "empty"));
  CHECK(has(folder.problem("warm: [in/server, \"{index}\"]"), "nothing is replaced"));
  CHECK(has(folder.read(python + "warm: {python3: [\"a b\"]}").problems.at(0).shown(), "name of a Python module"));
  CHECK(read_terms("x", {"warm=python3"}).task->terms.warm == "python3");
  CHECK(read_terms("x", {"warm=[in/server]"}).problems.size() == 1);
}

TEST_CASE("overrides_replace_before_anything_is_checked") {
  Folder folder;
  const std::string text = "tnode: 1\ncommand: [true]\nquorum: {agree: 3}\nresources: {memory: nonsense}\n";
  const auto task = folder.good(text, {"quorum.agree=1", "resources.memory=1GiB", "array.range=0-4", "command=[echo, hi]", "env.A=x=y", "name=other"});
  CHECK(task.terms.agree == 1);
  CHECK(task.spec.resources.memory_bytes == 1LL << 30);
  CHECK(index_count(task.spec) == 5);
  CHECK(task.spec.command == std::vector<std::string>{"echo", "hi"});
  CHECK(task.spec.env.at("A") == "x=y");
  CHECK(task.terms.name == "other");

  auto refused = [&](const std::string& assignment) {
    auto result = folder.read("tnode: 1\ncommand: [true]\n", {assignment});
    REQUIRE(result.problems.size() == 1);
    return result.problems[0].shown();
  };
  CHECK(refused("quorum.agre=1") == "--set quorum.agre=1: unknown key 'agre'; did you mean 'agree'?");
  CHECK(has(refused("quorum.agree=x"), "--set quorum.agree=x: expected how many farmers must agree"));
  CHECK(has(refused("quorum"), "expected KEY=VALUE"));
  CHECK(has(refused("command.0=x"), "only keys of maps"));
  CHECK(has(refused("name=[a"), "the list that begins here has no ']'; a text"));
  CHECK(has(refused("quorum..agree=1"), "expected KEY=VALUE"));
}

TEST_CASE("hostile_yaml_is_refused_quickly") {
  Folder folder;
  CHECK(has(folder.problem("env: &a {A: x}\n"), "anchors"));
  CHECK(has(folder.problem("env: *a\n"), "anchor"));
  CHECK(has(folder.problem("env: {A: " + std::string(40, '[') + std::string(40, ']') + "}\n"), "nested more than"));
  auto result = folder.read(std::string(100'000, '['));
  CHECK_FALSE(result.task);
  CHECK(result.problems.size() == 1);
  result = folder.read(std::string(5 << 20, 'x'));
  CHECK(has(result.problems.at(0).shown(), "larger than 4 MiB"));
  result = folder.with("env: {A: \"unfinished\n");
  CHECK(has(result.problems.at(0).shown(), "the quote \" that opens here is never closed"));
  result = folder.with("---\ntnode: 1\n");
  CHECK(has(result.problems.at(0).shown(), "more than one YAML document"));
  std::string many = "env:\n";
  for (int i = 0; i < 5000; ++i) many += "  K" + std::to_string(i) + ": [x]\n";
  result = folder.with(many);
  CHECK(result.problems.size() == max_problems + 1);
  CHECK(has(result.problems.back().text, "more problems"));
}

TEST_CASE("a_placeholder_that_is_nearly_one_is_mentioned_and_other_braces_are_not") {
  Folder folder;
  const auto result = folder.read("tnode: 1\ncommand: [echo, \"{indx} {index} {vlaue} {print} ${HOME} {}\"]\n");
  CHECK(result.task);
  REQUIRE(result.warnings.size() == 2);
  CHECK(result.warnings.at(0).shown() == "task.yaml:2:17: '{indx}' is passed on as it is; did you mean '{index}'?");
  CHECK(has(result.warnings.at(1).text, "'{value}'"));
}

TEST_CASE("what_is_not_yaml_is_named_where_it_begins") {
  Folder folder;
  auto first = [&](const std::string& text) { return folder.read("tnode: 1\n" + text).problems.at(0).shown(); };
  CHECK(first("command: [sh, \"-c, foo]\nquorum: {agree: 1}\n") == "task.yaml:2:15: the quote \" that opens here is never closed");
  CHECK(first("command: ['it''s, b]\n") == "task.yaml:2:11: the quote ' that opens here is never closed");
  CHECK(has(first("command: [sh\nquorum: {agree: 1}\n"), "task.yaml:2:10: the list that begins here has no ']', as of line 3"));
  CHECK(has(first("env: {A: b\n"), "task.yaml:2:6: the map that begins here has no '}'"));
  CHECK(has(first("\tcommand: [sh]\n"), "a tab cannot indent"));
  CHECK(has(first("name: a: b\n"), "task.yaml:2:8: a ':' is out of place here"));
  CHECK(folder.read("\xef\xbb\xbftnode: 1\nname: \"\u00fc\\\"'\"\ncommand: ['it''s', \"a\\\\\"]\n").task);
}

TEST_CASE("a_file_that_cannot_be_read_is_one_clear_problem") {
  Folder folder;
  CHECK(has(read_task_file(folder.path + "/nothing.yaml").problems.at(0).shown(), "nothing.yaml: there is no such file"));
  CHECK(has(read_task_file(folder.path).problems.at(0).shown(), "is a folder"));
  CHECK(has(read_task_file("/dev/null").problems.at(0).shown(), "no regular file"));
  write_file(folder.path + "/task.yaml", "tnode: 1\ncommand: [python3, in/render.py]\ninputs: [render.py]\n");
  auto result = read_task_file(folder.path + "/task.yaml");
  REQUIRE(result.task);
  CHECK(result.task->inputs.at(0).from == folder.path + "/render.py");
}

TEST_CASE("terms_of_a_torrent_come_from_settings_alone") {
  auto result = read_terms("given", {"quorum.agree=3", "timeouts.run=10s", "market.max_price=0.5"});
  REQUIRE(result.task);
  CHECK(result.task->terms.name == "given");
  CHECK(result.task->terms.agree == 3);
  CHECK(result.task->terms.run_ms == 10'000);
  CHECK(result.task->terms.max_price_micro == 500'000);
  CHECK(read_terms("given", {"name=other"}).task->terms.name == "other");
  CHECK(read_terms("given", {}).task);

  result = read_terms("given", {"command=[x]", "quorum.agree=0"});
  CHECK_FALSE(result.task);
  CHECK(result.problems.size() == 2);
  CHECK(has(result.problems.at(0).shown() + result.problems.at(1).shown(), "'command' is part of the task itself; of a .torrent only terms can be set: name, warm, timeouts, quorum, market"));
}
