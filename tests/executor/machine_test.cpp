// What is read of the machine: how busy others are, and where control groups are to be had.
#include "executor/cgroup_place.h"
#include "executor/machine_checks.h"
#include "executor/machine_load.h"
#include "executor/systemd_scope.h"
#include "tests/temp_dir.h"

using namespace tnode;

namespace {

struct Machine {
  TempDir dir;
  std::int64_t own_ms = 0;
  void count(int user, int nice, int system, int idle, int waiting = 0, int stolen = 0) const {
    write_file(dir.path + "/stat", "cpu  " + std::to_string(user) + " " + std::to_string(nice) + " " + std::to_string(system) + " " + std::to_string(idle) + " " + std::to_string(waiting) + " 0 0 " + std::to_string(stolen) + " 0 0\ncpu0 1 2 3\n");
  }
  MachineLoad load() { return MachineLoad([this] { return own_ms; }, dir.path, dir.path + "/dev"); }
};

}  // namespace

TEST_CASE("load_of_others_is_the_machines_less_our_own") {
  Machine m;
  m.count(1000, 0, 0, 1000);
  auto load = m.load();
  m.count(1000, 100, 0, 1100);
  m.own_ms += 900;  // of 1000 ms in 100 ticks
  CHECK(load.sample(1).others_permille == 50);
  m.count(1050, 100, 25, 1225);
  CHECK(load.sample(2).others_permille == 375);
  m.count(1050, 100, 25, 1225, 500, 500);  // waiting for a disk, or for the machine around this one, is no work
  CHECK(load.sample(3).others_permille == 0);
  m.own_ms += 1'000'000;
  m.count(1150, 100, 25, 1225, 500, 500);
  CHECK(load.sample(4).others_permille == 0);
}

TEST_CASE("pressure_is_the_worst_of_three_where_the_kernel_tells") {
  Machine m;
  m.count(0, 0, 0, 1);
  auto load = m.load();
  CHECK_FALSE(load.sample(1).pressure_permille);
  write_file(m.dir.path + "/pressure/cpu", "some avg10=1.23 avg60=9.99 avg300=0.00 total=1\n");
  write_file(m.dir.path + "/pressure/memory", "some avg10=45.67 avg60=0.00 avg300=0.00 total=1\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=1\n");
  CHECK(load.sample(2).pressure_permille == 456);
}

TEST_CASE("a_machine_without_terminals_tells_of_no_input") {
  Machine m;
  m.count(0, 0, 0, 1);
  write_file(m.dir.path + "/dev/pts/0", "a file is no terminal");
  CHECK_FALSE(m.load().sample(1).input_age_ms);
}

TEST_CASE("the_own_control_group_is_found_on_either_version") {
  const char* second = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
  CHECK(cgroup_folder(second, "0::/user.slice/run-1.scope\n", "") == "/sys/fs/cgroup/user.slice/run-1.scope");
  CHECK(cgroup_folder(second, "0::/\n", "") == "/sys/fs/cgroup");
  CHECK(cgroup_folder(second, "0::/user.slice\n", "memory").empty());
  CHECK(cgroup_folder(second, "0::/../elsewhere\n", "").empty());
  const char* first =
      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
      "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
  const char* groups = "5:cpu,cpuacct:/a\n4:memory:/docker/abc/b\n0::/c\n";
  CHECK(cgroup_folder(first, groups, "cpu") == "/sys/fs/cgroup/cpu,cpuacct/a");
  CHECK(cgroup_folder(first, groups, "cpuacct") == "/sys/fs/cgroup/cpu,cpuacct/a");
  CHECK(cgroup_folder(first, groups, "memory") == "/sys/fs/cgroup/memory/b");
  CHECK(cgroup_folder(first, groups, "") == "/sys/fs/cgroup/unified/c");
  CHECK(cgroup_folder(first, groups, "pids").empty());
  CHECK(cgroup_folder("", "", "").empty());
}

TEST_CASE("what_mends_a_machine_without_namespaces_is_a_command") {
  const std::string refused = "bwrap: No permissions to create new namespace";
  auto remedy = [&](auto change) {
    MachineFacts facts;
    change(facts);
    return namespace_remedy(refused, facts);
  };
  CHECK(remedy([](MachineFacts& f) { f.user_namespaces = 0; }).starts_with("sudo sysctl -w user.max_user_namespaces=15000; to keep it: echo user.max_user_namespaces=15000 | sudo tee /etc/sysctl.d/"));
  CHECK(remedy([](MachineFacts& f) { f.user_namespaces = 0, f.in_container = true; }).starts_with("on the host of this container: sudo sysctl -w"));
  CHECK(remedy([](MachineFacts& f) { f.clone_allowed = false; }).starts_with("sudo sysctl -w kernel.unprivileged_userns_clone=1"));
  const std::string apparmor = remedy([](MachineFacts& f) { f.apparmor_restricts = true; });
  CHECK(apparmor.find("profile bwrap /usr/bin/bwrap flags=(unconfined) { userns, }") != std::string::npos);
  CHECK(apparmor.find("sudo apparmor_parser -r /etc/apparmor.d/bwrap") != std::string::npos);
  CHECK(apparmor.find("sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0") != std::string::npos);
  CHECK(remedy([](MachineFacts& f) { f.in_container = true; }).find("docker run --security-opt seccomp=unconfined") != std::string::npos);
  CHECK(remedy([](MachineFacts&) {}).find("unshare --user true") != std::string::npos);
  MachineFacts fedora;
  fedora.installer = "sudo dnf install";
  CHECK(bubblewrap_remedy(fedora) == "sudo dnf install bubblewrap");
  CHECK(namespace_remedy("bwrap: Unknown option --disable-userns", fedora) == "install bubblewrap 0.8 or newer: sudo dnf install bubblewrap");
}

TEST_CASE("what_gives_control_groups_depends_on_who_asks_where") {
  auto remedy = [](auto change) {
    MachineFacts facts;
    change(facts);
    return limits_remedy(facts);
  };
  CHECK(remedy([](MachineFacts& f) { f.systemd = true; }) == "systemd-run --user --scope -p Delegate=yes tnode farm");
  CHECK(remedy([](MachineFacts& f) { f.systemd = f.root = true; }) == "systemd-run --scope -p Delegate=yes tnode farm");
  CHECK(remedy([](MachineFacts& f) { f.root = true; }).starts_with("mount -t cgroup2"));
  CHECK(remedy([](MachineFacts& f) { f.root = true, f.controllers = MachineFacts::Controllers::version1; }).find("mount -t cgroup -o $c") != std::string::npos);
  CHECK(remedy([](MachineFacts& f) { f.root = f.systemd = true, f.controllers = MachineFacts::Controllers::off; }).starts_with("start the kernel with cgroup_enable=memory"));
  CHECK(remedy([](MachineFacts& f) { f.in_container = f.root = true; }).starts_with("start the container"));
  CHECK(remedy([](MachineFacts&) {}).find("chown -R USER /sys/fs/cgroup/tnode;") != std::string::npos);
  CHECK(remedy([](MachineFacts& f) { f.controllers = MachineFacts::Controllers::version1; }).find("for c in memory pids freezer") != std::string::npos);
}

TEST_CASE("which_control_groups_the_kernel_has_is_read") {
  using Controllers = MachineFacts::Controllers;
  const std::string head = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t3\t1\n";
  CHECK(controllers_of(head + "memory\t4\t99\t1\npids\t8\t20\t1\n") == Controllers::version1);
  CHECK(controllers_of(head + "memory\t0\t99\t1\n") == Controllers::version2);
  CHECK(controllers_of(head + "memory\t0\t1\t0\n") == Controllers::off);
  CHECK(controllers_of("") == Controllers::version2);
}

TEST_CASE("systemd_is_asked_to_move_one_process_into_a_delegated_scope") {
  const auto argv = scope_request("/usr/bin/busctl", true, "tnode-12-34", 12);
  std::string line;
  for (const auto& word : argv) line += word + " ";
  CHECK(line == "/usr/bin/busctl --user --quiet call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager StartTransientUnit ssa(sv)a(sa(sv)) tnode-12-34.scope fail "
                "4 PIDs au 1 12 Delegate b true Description s tnode sandboxes CollectMode s inactive-or-failed 0 ");
  CHECK(scope_request("busctl", false, "a", 1)[1] == "--system");
}
