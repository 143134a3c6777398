// How sizes and durations are written, and which are refused.
#include "cli/quantities.h"

#include "tests/catch.h"

using namespace tnode;

TEST_CASE("sizes_need_a_unit_and_are_exact") {
  CHECK(*parse_size("512MiB") == 512LL << 20);
  CHECK(*parse_size("1.5GiB") == 3LL << 29);
  CHECK(*parse_size("64 kB") == 64'000);
  CHECK(*parse_size("0B") == 0);
  CHECK(*parse_size("0.001kB") == 1);
  for (const char* bad : {"512", "", "MiB", "-1MiB", "1.MiB", "1.2345MiB", "1MiBs", "1 MiB 2", "1,5GiB", "99999999999TiB", "0x10B", "1..5MiB"}) {
    INFO(bad);
    CHECK_FALSE(parse_size(bad));
  }
}

TEST_CASE("a_size_with_a_near_unit_gets_the_right_one_named") {
  CHECK(parse_size("512").error().message.find("did you mean '512MiB'?") != std::string::npos);
  CHECK(parse_size("2G").error().message.find("did you mean '2GiB'?") != std::string::npos);
  CHECK(parse_size("2gb").error().message.find("did you mean '2GiB'?") != std::string::npos);
  CHECK(parse_size("7 parsecs").error().message.find("did you mean") == std::string::npos);
}

TEST_CASE("durations_need_a_unit_and_larger_units_first") {
  CHECK(*parse_duration("500ms") == 500);
  CHECK(*parse_duration("10m") == 600'000);
  CHECK(*parse_duration("1h30m") == 5'400'000);
  CHECK(*parse_duration("1d 2h 3m 4s 5ms") == 93'784'005);
  for (const char* bad : {"10", "", "m", "30m1h", "1m1m", "1.5h", "-1s", "10x", "1h30", "999999999999d"}) {
    INFO(bad);
    CHECK_FALSE(parse_duration(bad));
  }
  CHECK(parse_duration("10min").error().message.find("did you mean '10m'?") != std::string::npos);
  CHECK(parse_duration("30").error().message.find("did you mean '30s'?") != std::string::npos);
}

TEST_CASE("a_share_of_the_cpus_is_a_percentage_or_a_number_of_them") {
  CHECK(*parse_cpu_share("50%", 2) == 1'000);
  CHECK(*parse_cpu_share("12.5%", 8) == 1'000);
  CHECK(*parse_cpu_share("100%", 64) == 64'000);
  CHECK(*parse_cpu_share("1.5", 2) == 1'500);
  CHECK(*parse_cpu_share("2", 2) == 2'000);
  for (const char* bad : {"", "%", "50 %", "50%%", "-1", "0", "0%", "101%", "3", "half", "1.5 CPUs", "99999999999999999999"}) {
    INFO(bad);
    CHECK_FALSE(parse_cpu_share(bad, 2));
  }
}

TEST_CASE("quantities_print_short_for_people") {
  CHECK(format_size(0) == "0 B");
  CHECK(format_size(1023) == "1023 B");
  CHECK(format_size(1536) == "1.5 KiB");
  CHECK(format_size(1LL << 30) == "1 GiB");
  CHECK(format_duration(0) == "0s");
  CHECK(format_duration(12) == "12ms");
  CHECK(format_duration(1'500) == "1s");
  CHECK(format_duration(5'400'000) == "1h 30m");
  CHECK(format_duration(90'061'000) == "1d 1h");
  CHECK(format_duration(-60'000) == "-1m");
}

TEST_CASE("the_nearest_word_is_found_and_a_far_one_is_not") {
  const std::vector<std::string> known{"inputs", "outputs", "command", "runtime"};
  CHECK(nearest_word("ouputs", known) == "outputs");
  CHECK(nearest_word("comamnd", known) == "command");
  CHECK(nearest_word("Runtime", known) == "runtime");
  CHECK(nearest_word("banana", known).empty());
  CHECK(nearest_word(std::string(10'000, 'x'), known).empty());
  CHECK(nearest_word("", known).empty());
}
