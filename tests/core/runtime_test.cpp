#include "core/runtime.h"

#include "tests/catch.h"

using namespace tnode;

namespace {

RuntimeId id(const std::string& name) { return *RuntimeId::from_bytes(name + std::string(32 - name.size(), '.')); }

}  // namespace

TEST_CASE("a_runtimes_manifest_has_one_spelling") {
  const RuntimeManifest manifest{"x86_64", 1234, 5 << 20};
  const Bytes bytes = encode_runtime_manifest(manifest);
  CHECK(bytes == "d4:diski5242880e7:entriesi1234e7:machine6:x86_645:tnodei1ee");
  REQUIRE(decode_runtime_manifest(bytes));
  CHECK(*decode_runtime_manifest(bytes) == manifest);
  CHECK_FALSE(decode_runtime_manifest("d4:diski5242880e7:entriesi1234e7:machine6:x86_645:tnodei2ee"));
  CHECK_FALSE(decode_runtime_manifest("d4:diski-1e7:entriesi1234e7:machine6:x86_645:tnodei1ee"));
  CHECK_FALSE(decode_runtime_manifest("d4:diski1e7:entriesi1234e7:machine0:5:tnodei1ee"));
}

TEST_CASE("a_runtime_is_named_by_a_magnet_link") {
  const RuntimeId some = id("some");
  REQUIRE(runtime_id(runtime_link(some)));
  CHECK(*runtime_id(runtime_link(some)) == some);
  CHECK_FALSE(runtime_id("host"));
}

TEST_CASE("with_a_runtime_only_the_machine_is_of_the_farmers_own") {
  CHECK(platform_kind("host", "debian-12/x86_64") == "debian-12/x86_64");
  CHECK(platform_kind(runtime_link(id("some")), "debian-12/x86_64") == "x86_64");
  CHECK(platform_kind(runtime_link(id("some")), "x86_64") == "x86_64");
}

TEST_CASE("what_belongs_to_one_machine_has_no_place_in_a_runtime") {
  for (const char* path : {"proc", "dev/null", "tmp/x", "work", "init", "etc/passwd"}) CHECK((belongs_to_sandbox(path) && belongs_to_machine(path)));
  for (const char* path : {"etc/resolv.conf", "etc/hostname", "etc/passwd-"}) CHECK((!belongs_to_sandbox(path) && belongs_to_machine(path)));
  for (const char* path : {"etc", "etc/passwd.d", "usr/etc/passwd", "usr/bin/init", "process", "etc/alternatives"}) CHECK_FALSE(belongs_to_machine(path));
}

TEST_CASE("a_programs_machine_is_read_from_its_head") {
  Bytes head("\x7f" "ELF\x02\x01\x01", 7);
  head.resize(program_head_bytes, '\0');
  head[18] = 62;
  CHECK(machine_of_program(head) == "x86_64");
  head[18] = static_cast<char>(183);
  CHECK(machine_of_program(head) == "aarch64");
  head[5] = 2, head[18] = 0, head[19] = 22;
  CHECK(machine_of_program(head) == "s390x");
  CHECK(machine_of_program("#!/bin/sh\nexec something long").empty());
  CHECK(machine_of_program("\x7f" "ELF").empty());
}

TEST_CASE("a_full_cache_lets_the_longest_unused_go_and_never_one_in_use") {
  const std::vector<CachedRuntime> cached{{id("new"), 40, 300, false}, {id("old"), 30, 100, false}, {id("used"), 20, 50, true}, {id("middle"), 10, 200, false}};
  CHECK(choose_evictions(cached, 100, 0)->empty());
  CHECK(*choose_evictions(cached, 100, 30) == std::vector{id("old")});
  CHECK(*choose_evictions(cached, 100, 35) == std::vector{id("old"), id("middle")});
  CHECK(*choose_evictions(cached, 100, 80) == std::vector{id("old"), id("middle"), id("new")});
  CHECK(choose_evictions(cached, 100, 81).error().message.find("in use 20") != std::string::npos);
  CHECK(choose_evictions(cached, 100, 101).error().message.find("the limit for runtimes is 100") != std::string::npos);
  CHECK(*choose_evictions(cached, 50, 10) == std::vector{id("old"), id("middle"), id("new")});
}

TEST_CASE("what_no_unit_ran_in_goes_before_what_was_used") {
  const std::vector<CachedRuntime> cached{{id("used long ago"), 10, 100, false, true}, {id("offered lately"), 10, 300, false, false}, {id("offered before"), 10, 200, false, false}};
  CHECK(*choose_evictions(cached, 30, 10) == std::vector{id("offered before")});
  CHECK(*choose_evictions(cached, 30, 20) == std::vector{id("offered before"), id("offered lately")});
  CHECK(*choose_evictions(cached, 30, 30) == std::vector{id("offered before"), id("offered lately"), id("used long ago")});
}

TEST_CASE("offers_alone_bring_no_more_in_a_day_than_the_cache_holds") {
  constexpr TimeMs hour = 3'600'000;
  OfferedRuntimes offered(100);
  CHECK(offered.left(0) == 100);
  offered.fetched(0, id("a"), 60);
  offered.fetched(hour, id("b"), 30);
  CHECK(offered.left(2 * hour) == 10);
  CHECK(offered.why(2 * hour).find("of the 100 bytes") != std::string::npos);
  // One that is fetched again counts again; one that units ran in counts no more.
  offered.fetched(2 * hour, id("a"), 60);
  CHECK(offered.left(2 * hour) == 0);
  offered.ran(id("a"));
  CHECK(offered.left(3 * hour) == 70);
  CHECK(offered.left(hour + offered_runtimes_ms - 1) == 70);
  CHECK(offered.left(hour + offered_runtimes_ms) == 100);
}
