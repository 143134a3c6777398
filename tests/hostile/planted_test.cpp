// Do the probes see anything? Holes are planted, by a bubblewrap that forgets one of its arguments or adds one, and a probe must say so.
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>

#include "tests/hostile/machine.h"
#include "tests/hostile/probe_ground.h"

using namespace tnode;

namespace {

struct Hole {
  const char* what;
  std::string forgotten;  ///< arguments in their order, as they stand on bubblewrap's command line
  std::string instead;
  const char* probe;      ///< that must find it
  bool needs_root = false;  ///< for anybody else the kernel shuts it too
};

const std::vector<Hole> holes{
    {"the host's network", "--unshare-net", "", "sockets.abstract_listener_of_the_host"},
    {"the host's name", "--hostname tnode", "", "kernel.names_of_the_machine"},
    {"a root that can be written", "--remount-ro / --chdir", "--chdir", "files.only_scratch_can_be_written"},
    {"the host's files", "--remount-ro / ", "--ro-bind /var /var --remount-ro / ", "files.the_host_is_not_seen"},
    {"the host's /tmp", "--remount-ro / ", "--bind /tmp /opt --remount-ro / ", "files.every_mount_but_two_is_read_only"},
    {"a device of the host", "--remount-ro /dev", "--dev-bind /dev/full /dev/kvm --remount-ro /dev", "files.dev_has_what_programs_need_and_no_more"},
    {"the kernel's switches", "--remount-ro /proc", "", "kernel.nothing_below_proc_can_be_written", true},
    {"scratch without a limit", "--size [0-9]+ --perms 0755 --tmpfs /scratch", "--tmpfs /scratch", "files.capacities_are_the_tasks_own"},
};

/// A program of bubblewrap's name that starts the real one with the hole in its arguments.
void plant(const std::string& folder, const Hole& hole) {
  write_file(folder + "/bwrap", std::string("#!/usr/bin/python3 -SE\nimport os, re, sys\n") +
                                    "arguments = ' '.join(sys.argv[1:])\n"
                                    "changed, found = re.subn('" + hole.forgotten + "', '" + hole.instead + "', arguments, count=1)\n"
                                    "if not found: sys.exit('the hole fits no argument')\n"
                                    "os.execv('/usr/bin/bwrap', ['bwrap', *changed.split()])\n");
  for (const std::string& path : {folder, folder + "/bwrap"}) REQUIRE(chmod(path.c_str(), 0755) == 0);  // for the user that root drops to
}

std::string run_with(const Hole& hole, const Probes& probes) {
  TempDir folder;
  plant(folder.path, hole);
  setenv("PATH", (folder.path + ":" + getenv("PATH")).c_str(), 1);
  ProbeGround ground(probes);
  const auto probe = std::find_if(probes.list.begin(), probes.list.end(), [&](const Probe& each) { return each.name == hole.probe; });
  if (probe == probes.list.end()) return std::string("there is no probe ") + hole.probe + "\n";
  const auto report = ground.run(ground.request(*probe));
  const std::string seen = words_of(report);
  std::printf("planted: %-40s %-50s %s\n", hole.what, hole.probe, seen.c_str());
  std::fflush(stdout);
  return seen == "exited 42" ? "" : std::string(hole.what) + " was not found by " + hole.probe + ": " + seen + "; " + story_of(report) + "\n";
}

}  // namespace

TEST_CASE("holes_that_are_planted_are_found") {
  const Probes probes;
  std::string complaints;
  for (const auto& hole : holes) {
    if (hole.needs_root && geteuid() != 0) {
      std::printf("planted: %-40s skipped: it is one only when root starts sandboxes\n", hole.what);
      continue;
    }
    const auto run = run_on({geteuid() == 0, true}, [&] { return run_with(hole, probes); });
    complaints += run.skipped + run.complaint;
  }
  INFO(complaints);
  REQUIRE(complaints.empty());
}
