// The examples are tasks that the reader takes as they are.
#include "cli/task_file.h"
#include "tests/catch.h"

using namespace tnode;

namespace {

TaskFile example(const std::string& name) {
  auto result = read_task_file(std::string(TNODE_SOURCE_DIR) + "/examples/" + name + "/task.yaml");
  for (const auto& problem : result.problems) UNSCOPED_INFO(problem.shown());
  REQUIRE(result.task);
  return *result.task;
}

}  // namespace

TEST_CASE("examples_are_valid_tasks") {
  CHECK(index_count(example("render").spec) == 16);
  const auto words = example("words");
  CHECK(index_count(words.spec) == 66);
  CHECK(unit_count(words.spec) == 6);
  CHECK(words.spec.array.values.front() == "01-genesis");
  const auto primes = example("primes");
  CHECK(index_count(primes.spec) == 200);
  CHECK(unit_count(primes.spec) == 10);
  const auto goldbach = example("goldbach");
  CHECK(unit_count(goldbach.spec) == 3);
  CHECK(goldbach.spec.warm == std::vector<std::string>{"perl", "in/server.pl"});
}
