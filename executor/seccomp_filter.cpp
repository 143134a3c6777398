#include "executor/seccomp_filter.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>

namespace tnode {
namespace {

struct Releaser { void operator()(void* filter) const { seccomp_release(filter); } };

scmp_arg_cmp comparison(const ArgumentTest& test) {
  switch (test.kind) {
    case ArgumentTest::Kind::equal: return {test.argument, SCMP_CMP_MASKED_EQ, test.mask, test.value};
    case ArgumentTest::Kind::differs: return {test.argument, SCMP_CMP_NE, test.value, 0};
    case ArgumentTest::Kind::above: return {test.argument, SCMP_CMP_GT, test.value, 0};
  }
  return {};
}

/// False when libseccomp cannot express it.
bool add(void* filter, const SyscallRule& rule) {
  const std::uint32_t action = SCMP_ACT_ERRNO(static_cast<unsigned>(rule.error));
  for (const char* name : rule.calls) {
    const int call = seccomp_syscall_resolve_name(name);
    if (call < 0) continue;  // not a call of this machine
    if (rule.when.empty() && seccomp_rule_add_array(filter, action, call, 0, nullptr) != 0) return false;
    for (const auto& tests : rule.when) {
      std::vector<scmp_arg_cmp> comparisons;
      for (const auto& test : tests) comparisons.push_back(comparison(test));
      if (seccomp_rule_add_array(filter, action, call, static_cast<unsigned>(comparisons.size()), comparisons.data()) != 0) return false;
    }
  }
  return true;
}

/// Before libseccomp's program, which knows no ranges: of this machine's own calls, the young ones do not exist. A 32-bit or x32 program's go on to be killed.
bool write_head(int fd) {
  constexpr std::uint32_t x32_bit = 0x40000000, does_not_exist = SECCOMP_RET_ERRNO | ENOSYS;
  const sock_filter head[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, x32_bit, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, newest_syscall, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, does_not_exist),
  };
  return write(fd, head, sizeof head) == static_cast<ssize_t>(sizeof head);
}

}  // namespace

Result<int> seccomp_filter(FilterOptions options) {
  std::unique_ptr<void, Releaser> filter(seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) return fail(Code::unavailable, "libseccomp cannot make a filter");
  // Other ABIs (32-bit, x32) number their calls differently and would slip past the list.
  bool good = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0;
  for (const auto& rule : syscall_rules())
    if (rule.holds(options)) good = good && add(filter.get(), rule);
  if (!good) return fail(Code::unavailable, "libseccomp cannot express the filter");
  int fd = memfd_create("tnode-seccomp", MFD_CLOEXEC);
  if (fd < 0) return fail(Code::io, std::string("memfd_create: ") + std::strerror(errno));
  if (!write_head(fd) || seccomp_export_bpf(filter.get(), fd) != 0) {
    close(fd);
    return fail(Code::unavailable, "libseccomp cannot export the filter");
  }
  return fd;
}

}  // namespace tnode
