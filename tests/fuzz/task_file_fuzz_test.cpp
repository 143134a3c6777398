// The task.yaml reader: whatever is in the file, it ends with a task or with problems that have words.
#include "cli/quantities.h"
#include "cli/task_file.h"
#include "core/magnet.h"
#include "tests/fuzz/driver.h"
#include "tests/temp_dir.h"

using namespace tnode;
using namespace tnode::fuzz;

TEST_CASE("fuzz_task_yaml_gives_a_task_or_problems") {
  TempDir folder;
  write_file(folder.path + "/work.py", "print()\n");
  write_file(folder.path + "/data/list.txt", "a\nb\n");
  const std::vector<std::string> corpus{
      "tnode: 1\ncommand: [true]\n",
      "tnode: 1\nname: all\ncommand: [python3, in/work.py, \"{value}\"]\nenv: {A: \"1\"}\nruntime: host\ninputs:\n  - ./work.py\n  - {from: ./data, to: d}\n"
      "outputs: [\"out/**\"]\narray: {lines: in/d/list.txt, batch: 10}\nresources: {cpus: 1, memory: 512MiB, disk: 256MiB}\n"
      "timeouts: {queue: 10m, run: 5m, total: 2h}\nquorum: {agree: 2, max: 5}\nmarket: {max_price: 2.5}\n",
      "tnode: 1\ncommand:\n  - echo\n  - |\n    a\n    b\narray:\n  range: 0-59\n",
  };
  const std::vector<std::string> words{"&a ", "*a", "<<: ", "!!binary ", "? ", "- ", ": ", "{", "}", "[", "]", "|\n", ">\n", "---\n", "...\n", "\"", "'", "\t", "#", "%YAML 9.9\n", "null", "\xef\xbb\xbf", std::string(40, '['), std::string(40, '{'), "in/../x", "99999999999999999999"};
  run_campaign({corpus, words, false, 20'000}, [&](const std::string& input) {
    auto result = read_task_text(input, "task.yaml", folder.path);
    REQUIRE(result.task.has_value() == result.problems.empty());
    for (const auto& problem : result.problems) {
      CHECK_FALSE(problem.text.empty());
      CHECK(problem.line >= 0);
    }
    if (result.task) CHECK(decode_manifest(encode_manifest(result.task->spec)));
    return result.task.has_value();
  });
}

TEST_CASE("fuzz_settings_give_terms_or_problems") {
  run_campaign({{"quorum.agree=1", "timeouts.run=10s", "market.max_price=2.5", "name=x"}, {".", "=", "quorum", "{", "[", "&a", "*a"}, false, 10'000}, [](const std::string& input) {
    auto result = read_terms("task", {input});
    REQUIRE(result.task.has_value() == result.problems.empty());
    return result.task.has_value();
  });
}

TEST_CASE("fuzz_quantities_are_read_without_overflow") {
  run_campaign({{"512MiB", "1.5GiB", "10m", "1h30m", "0B"}, {"MiB", "kB", ".", "ms", "h", " "}, false, 20'000}, [](const std::string& input) {
    auto size = parse_size(input);
    auto duration = parse_duration(input);
    if (size) CHECK(*size >= 0);
    if (duration) CHECK(*duration >= 0);
    CHECK_FALSE(format_size(size ? *size : 0).empty());
    CHECK_FALSE(format_duration(duration ? *duration : 0).empty());
    return size.ok() || duration.ok();
  });
}
