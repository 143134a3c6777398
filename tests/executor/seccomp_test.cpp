// The filter as the kernel would run it: its BPF program, interpreted, asked for every rule; and the table in docs/sandbox.md, which must say the same.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>

#include "executor/seccomp_filter.h"
#include "executor/seccomp_rules.h"
#include "tests/executor/refused_calls.h"
#include "tests/temp_dir.h"

using namespace tnode;

namespace {

constexpr std::uint32_t x32_bit = 0x40000000, foreign_machine = AUDIT_ARCH_I386;
constexpr const char* documentation = TNODE_SOURCE_DIR "/docs/sandbox.md";
constexpr const char *table_begin = "<!-- calls: begin -->\n", *table_end = "<!-- calls: end -->\n";

std::vector<sock_filter> program(FilterOptions options = {}) {
  auto fd = seccomp_filter(options);
  REQUIRE(fd.ok());
  std::vector<sock_filter> instructions(static_cast<std::size_t>(lseek(*fd, 0, SEEK_END)) / sizeof(sock_filter));
  const auto size = static_cast<ssize_t>(instructions.size() * sizeof(sock_filter));
  REQUIRE(pread(*fd, instructions.data(), static_cast<std::size_t>(size), 0) == size);
  close(*fd);
  return instructions;
}

/// As much of classic BPF as filters of system calls use.
std::uint32_t verdict(const std::vector<sock_filter>& instructions, const seccomp_data& data) {
  std::uint32_t accumulator = 0;
  for (std::size_t at = 0; at < instructions.size(); ++at) {
    const auto& [code, if_true, if_false, k] = instructions[at];
    auto jump = [&, yes = std::size_t{if_true}, no = std::size_t{if_false}](bool condition) { at += condition ? yes : no; };
    switch (code) {
      case BPF_LD | BPF_W | BPF_ABS:
        REQUIRE(k + sizeof accumulator <= sizeof data);
        std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + k, sizeof accumulator);
        break;
      case BPF_ALU | BPF_AND | BPF_K: accumulator &= k; break;
      case BPF_JMP | BPF_JA: at += k; break;
      case BPF_JMP | BPF_JEQ | BPF_K: jump(accumulator == k); break;
      case BPF_JMP | BPF_JGT | BPF_K: jump(accumulator > k); break;
      case BPF_JMP | BPF_JGE | BPF_K: jump(accumulator >= k); break;
      case BPF_JMP | BPF_JSET | BPF_K: jump((accumulator & k) != 0); break;
      case BPF_RET | BPF_K: return k;
      default: FAIL("an instruction that no filter has: " << code);
    }
  }
  FAIL("the program has no end");
  return 0;
}

seccomp_data call_of(long number, std::initializer_list<std::uint64_t> arguments = {}) {
  seccomp_data data{};
  data.nr = static_cast<int>(number);
  data.arch = seccomp_arch_native();
  std::copy(arguments.begin(), arguments.end(), data.args);
  return data;
}

std::uint32_t refused_with(int error) { return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error); }

/// Rows of docs/sandbox.md.
std::string table_of_rules() {
  std::string table = "| call | when | answer | why |\n|---|---|---|---|\n";
  for (const auto& rule : syscall_rules()) {
    std::string calls;
    for (const char* call : rule.calls) calls += std::string(calls.empty() ? "`" : ", `") + call + "`";
    const char* answer = rule.error == EPERM ? "`EPERM`" : rule.error == ENOSYS ? "`ENOSYS`" : rule.error == EAFNOSUPPORT ? "`EAFNOSUPPORT`" : rule.error == ENOMEM ? "`ENOMEM`" : "success";
    table += "| " + calls + " | " + (rule.words[0] ? rule.words : "always") + " | " + answer + " | " + rule.reason + " |\n";
  }
  return table + "| any call above number " + std::to_string(newest_syscall) + " | always | `ENOSYS` | younger than this list: nobody has asked whether a task may have it |\n" +
         "| any 32-bit or x32 call | always | the process is killed | other numbers, past the list |\n";
}

}  // namespace

TEST_CASE("every_rule_is_in_the_filter_and_answers_as_it_says") {
  for (bool watched : {false, true}) {
    const FilterOptions options{.watched_memory = watched};
    const auto filter = program(options);
    std::size_t tried = 0;
    for (const auto& each : refused_calls(options)) {
      INFO(each.name << " watched " << watched);
      seccomp_data data = call_of(each.number);
      std::copy(each.arguments.begin(), each.arguments.end(), data.args);
      CHECK(verdict(filter, data) == refused_with(each.error));
      ++tried;
    }
    REQUIRE(tried > 100);
  }
}

TEST_CASE("rules_with_a_condition_leave_the_rest_of_a_call_alone") {
  const auto filter = program();
  for (const auto& rule : syscall_rules()) {
    if (rule.when.empty() || rule.only_with) continue;
    for (const char* name : rule.calls) {
      INFO(name << ": " << rule.words);
      seccomp_data data = call_of(seccomp_syscall_resolve_name(name));
      if (std::string(name).starts_with("socket")) data.args[0] = AF_UNIX;
      CHECK(verdict(filter, data) == SECCOMP_RET_ALLOW);
    }
  }
  for (long number : {SYS_read, SYS_write, SYS_openat, SYS_mmap, SYS_execve, SYS_exit_group, SYS_futex, SYS_memfd_create, SYS_shmget})
    CHECK(verdict(filter, call_of(number)) == SECCOMP_RET_ALLOW);
}

TEST_CASE("the_upper_half_of_an_argument_hides_nothing") {
  constexpr std::uint64_t upper = 1ULL << 32;
  const auto filter = program();
  CHECK(verdict(filter, call_of(SYS_ioctl, {0, upper | 0x5412})) == refused_with(EPERM));
  CHECK(verdict(filter, call_of(SYS_socket, {upper | AF_INET})) == refused_with(EAFNOSUPPORT));
  CHECK(verdict(filter, call_of(SYS_fchmod, {0, upper | 04755})) == refused_with(EPERM));
  CHECK(verdict(filter, call_of(SYS_prlimit64, {upper | 1, 7, 1})) == refused_with(EPERM));
  CHECK(verdict(filter, call_of(SYS_clone, {upper | 0x10000000})) == refused_with(EPERM));
}

TEST_CASE("calls_of_other_machines_end_the_process_and_young_ones_do_not_exist") {
  const auto filter = program();
  seccomp_data foreign = call_of(20);
  foreign.arch = foreign_machine;
  CHECK(verdict(filter, foreign) == SECCOMP_RET_KILL_PROCESS);
  foreign.nr = 10'000;
  CHECK(verdict(filter, foreign) == SECCOMP_RET_KILL_PROCESS);
#ifdef __x86_64__
  CHECK(verdict(filter, call_of(x32_bit | SYS_getpid)) == SECCOMP_RET_KILL_PROCESS);
  CHECK(verdict(filter, call_of(x32_bit | 521)) == SECCOMP_RET_KILL_PROCESS);  // ptrace's own number there
#endif
  CHECK(verdict(filter, call_of(newest_syscall)) == SECCOMP_RET_ALLOW);
  CHECK(verdict(filter, call_of(newest_syscall + 1)) == refused_with(ENOSYS));
  CHECK(verdict(filter, call_of(100'000)) == refused_with(ENOSYS));
}

TEST_CASE("no_call_is_refused_twice_without_a_condition") {
  std::set<std::string> always;
  for (const auto& rule : syscall_rules()) {
    REQUIRE(rule.reason[0] != 0);
    REQUIRE((rule.when.empty() || rule.words[0] != 0));
    for (const char* call : rule.calls)
      if (rule.when.empty()) CHECK(always.insert(call).second);
  }
}

TEST_CASE("the_table_of_calls_in_the_documentation_is_what_the_filter_does") {
  std::string text = content_of(documentation);
  const auto begin = text.find(table_begin), end = text.find(table_end);
  REQUIRE(begin != std::string::npos);
  REQUIRE(end != std::string::npos);
  const auto from = begin + std::strlen(table_begin);
  if (std::getenv("TNODE_REWRITE_GOLDEN")) {
    text.replace(from, end - from, table_of_rules());
    std::ofstream(documentation, std::ios::binary) << text;
    return;
  }
  INFO("run this test with TNODE_REWRITE_GOLDEN=1 to write the table anew");
  REQUIRE(text.substr(from, end - from) == table_of_rules());
}
