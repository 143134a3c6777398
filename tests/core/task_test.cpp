// Manifests: what they say, what is refused, and how a unit becomes runs.
#include "core/task.h"

#include "tests/catch.h"

using namespace tnode;

namespace {

TaskSpec small_task() {
  TaskSpec spec;
  spec.command = {"echo", "{index}"};
  return spec;
}

std::string refusal(const TaskSpec& spec) {
  auto decoded = decode_manifest(encode_manifest(spec));
  return decoded ? "" : decoded.error().message;
}

Hash some_hash(char c) { return *Hash::from_bytes(std::string(32, c)); }

}  // namespace

TEST_CASE("manifest_of_a_task_is_pinned") {
  CHECK(encode_manifest(small_task()) ==
        "d5:arrayd5:batchi1e5:firsti0e4:lasti0ee7:commandl4:echo7:{index}e3:envde7:foreignde7:outputsl6:out/**e"
        "9:resourcesd4:cpusi1e4:diski268435456e6:memoryi536870912ee7:runtime4:host5:tnodei1ee");
}

TEST_CASE("manifest_decodes_to_what_was_encoded") {
  TaskSpec spec = small_task();
  spec.env = {{"OMP_NUM_THREADS", "1"}, {"A", "{value}"}};
  spec.runtime = "magnet:?xt=urn:btmh:1220" + std::string(64, 'a');
  spec.foreign_inputs = {{"data", some_hash('x')}, {"more/data", some_hash('y')}};
  spec.outputs = {"out/*.png", "out/sub/**"};
  spec.array = {.first = 0, .last = 0, .values = {"red", "green", ""}, .batch = 2};
  spec.resources = {.cpus = 2, .memory_bytes = 1 << 30, .disk_bytes = 0};
  auto decoded = decode_manifest(encode_manifest(spec));
  REQUIRE(decoded);
  CHECK(*decoded == spec);
  spec.array = {.first = 5, .last = 9, .values = {}, .batch = 1};
  decoded = decode_manifest(encode_manifest(spec));
  REQUIRE(decoded);
  CHECK(*decoded == spec);
}

TEST_CASE("a_warm_command_is_part_of_a_manifest_only_where_there_is_one") {
  TaskSpec spec = small_task();
  CHECK(encode_manifest(spec).find("4:warm") == std::string::npos);
  spec.warm = {"in/server", "{index}"};
  auto decoded = decode_manifest(encode_manifest(spec));
  REQUIRE(decoded);
  CHECK(*decoded == spec);
  CHECK(encode_manifest(spec).ends_with("5:tnodei1e4:warml9:in/server7:{index}ee"));
  spec.warm = {""};
  CHECK(refusal(spec).find("warm") != std::string::npos);
  Bytes empty = encode_manifest(small_task());
  empty.insert(empty.size() - 1, "4:warmle");
  CHECK_FALSE(decode_manifest(empty));
}

TEST_CASE("a_hint_makes_python_warm_and_nothing_else") {
  TaskSpec spec = small_task();
  CHECK(warm_command(spec, "python3").empty());
  spec.command = {"python3", "in/x.py"};
  CHECK(warm_command(spec, "").empty());
  CHECK(warm_command(spec, "ruby").empty());
  CHECK(warm_command(spec, "python3") == std::vector<std::string>{"python3", warm_python_path});
  spec.warm = {"in/server"};
  CHECK(warm_command(spec, "python3") == spec.warm);
  spec.env = {{"SEED", "7"}, {"PART", "{index}"}, {"LANG", "C"}};
  const auto env = warm_environment(spec);
  CHECK(env.at("SEED") == "7");
  CHECK(env.at("LANG") == "C");
  CHECK(env.count("PART") == 0);
  CHECK(env.count("TNODE_INDEX") == 0);
}

TEST_CASE("manifest_with_any_other_spelling_is_refused") {
  const Bytes good = encode_manifest(small_task());
  CHECK_FALSE(decode_manifest(good + "\n"));
  CHECK_FALSE(decode_manifest(good.substr(0, good.size() - 1)));
  CHECK_FALSE(decode_manifest(""));
  CHECK_FALSE(decode_manifest("i1e"));
  Bytes unknown_key = good;
  unknown_key.insert(unknown_key.size() - 1, "5:zzzzzi1e");
  auto refused = decode_manifest(unknown_key);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message == "manifest: unknown key 'zzzzz'");
}

TEST_CASE("manifest_of_a_newer_version_is_called_newer") {
  Bytes bytes = encode_manifest(small_task());
  bytes.replace(bytes.rfind("i1e"), 3, "i2e");
  auto refused = decode_manifest(bytes);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::newer);
}

TEST_CASE("manifest_refuses_what_would_hurt_a_farmer") {
  CHECK(refusal(small_task()).empty());
  TaskSpec spec = small_task();
  SECTION("no command") { spec.command.clear(); }
  SECTION("empty program") { spec.command = {""}; }
  SECTION("nul in command") { spec.command.push_back(std::string("a\0b", 3)); }
  SECTION("too many parts") { spec.command.assign(max_command_parts + 1, "x"); }
  SECTION("equals sign in env name") { spec.env["A=B"] = "c"; }
  SECTION("foreign input leaves its folder") { spec.foreign_inputs = {{"../up", some_hash('x')}}; }
  SECTION("foreign inputs inside each other") { spec.foreign_inputs = {{"a", some_hash('x')}, {"a/b", some_hash('y')}}; }
  SECTION("outputs outside out/") { spec.outputs = {"in/**"}; }
  SECTION("outputs through ..") { spec.outputs = {"out/../in/*"}; }
  SECTION("no outputs") { spec.outputs.clear(); }
  SECTION("unknown runtime") { spec.runtime = "debian"; }
  SECTION("runtime magnet with more than a hash") { spec.runtime = "magnet:?xt=urn:btmh:1220" + std::string(64, 'a') + "&dn=x"; }
  SECTION("negative index") { spec.array.first = -1; }
  SECTION("range backwards") { spec.array = {.first = 5, .last = 4, .values = {}, .batch = 1}; }
  SECTION("too many indices") { spec.array = {.first = 0, .last = max_indices, .values = {}, .batch = 100}; }
  SECTION("too many units") { spec.array = {.first = 0, .last = max_units, .values = {}, .batch = 1}; }
  SECTION("no batch") { spec.array.batch = 0; }
  SECTION("no cpus") { spec.resources.cpus = 0; }
  SECTION("one index expands beyond 1 MiB") {
    spec.array.values = {std::string(2000, 'v')};
    std::string part;
    for (int i = 0; i < 1000; ++i) part += "{value}";
    spec.command.push_back(part);
  }
  SECTION("one unit expands beyond 64 MiB") {
    spec.command.push_back(std::string(10'000, 'x'));
    spec.array = {.first = 0, .last = 9'999, .values = {}, .batch = 10'000};
  }
  CHECK_FALSE(refusal(spec).empty());
}

TEST_CASE("units_are_batches_of_consecutive_indices_and_the_last_may_be_shorter") {
  TaskSpec spec = small_task();
  CHECK(unit_count(spec) == 1);
  spec.array = {.first = 10, .last = 16, .values = {}, .batch = 3};
  CHECK(index_count(spec) == 7);
  REQUIRE(unit_count(spec) == 3);
  auto last = expand_unit(spec, 2);
  REQUIRE(last.size() == 1);
  CHECK(last[0].index == 16);
  auto first = expand_unit(spec, 0);
  REQUIRE(first.size() == 3);
  CHECK(first[1].argv == std::vector<std::string>{"echo", "11"});
}

TEST_CASE("a_batch_larger_than_the_array_makes_one_unit") {
  TaskSpec spec = small_task();
  spec.array = {.first = 0, .last = 4, .values = {}, .batch = max_indices};
  CHECK(unit_count(spec) == 1);
  CHECK(expand_unit(spec, 0).size() == 5);
}

TEST_CASE("index_and_value_are_replaced_everywhere_once") {
  TaskSpec spec = small_task();
  spec.command = {"run", "{index}{index}", "{value}", "{other}"};
  spec.env = {{"WHICH", "{value}-{index}"}};
  spec.array.values = {"a", "{index}", "{value}"};
  auto run = expand_unit(spec, 1);
  REQUIRE(run.size() == 1);
  CHECK(run[0].argv == std::vector<std::string>{"run", "11", "{index}", "{other}"});
  CHECK(run[0].env.at("WHICH") == "{index}-1");
  CHECK(expand_unit(spec, 2)[0].argv[2] == "{value}");
}

TEST_CASE("environment_has_the_fixed_names_and_the_task_may_change_all_but_its_index") {
  TaskSpec spec = small_task();
  auto env = expand_unit(spec, 0)[0].env;
  CHECK(env.at("TZ") == "UTC");
  CHECK(env.at("LANG") == "C.UTF-8");
  CHECK(env.count("PATH") == 1);
  CHECK(env.count("HOME") == 1);
  CHECK(env.size() == 5);
  spec.env = {{"LANG", "C"}, {"TNODE_INDEX", "7"}};
  env = expand_unit(spec, 0)[0].env;
  CHECK(env.at("LANG") == "C");
  CHECK(env.at("TNODE_INDEX") == "0");
}
