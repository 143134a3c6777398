// Ends the power at every operation of every disk in a story of two traders, tears what was not synced in many ways, ends it again at every
// moment of the recovery, refuses operations with EIO and ENOSPC, and lets an old copy of a store go on. The story has awards, payments, a proof
// of fraud that is found and handed on, a chain that is imported, stores that are lost or put back and catch up, and a CHECKPOINT. After each
// fault both trade to the end and the laws must hold. Prints what it tried; the first broken law ends it with status 3.
//
//   ledger_crashes [--least POINTS] [--seed N] [--thin N]
//
// Of the moments in a recovery one in N is tried, drawn by the seed; --thin 1 tries them all.
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>

#include "tests/ledger/crashes/traders.h"

using namespace tnode;
using namespace tnode::crashes;

namespace {

constexpr int workers = 2;
constexpr int variants = 9;               // of what becomes of writes that were not synced: all kept, none, some, then torn in various ways
constexpr std::size_t restart_every = 7;  // steps after which a trader is closed in good order, so that the log is written back too

/// For the stores' lock files, which are real ones.
struct TempFolder {
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tnode-crashes-XXXXXX").string();
    check(mkdtemp(pattern.data()) != nullptr, "a temporary folder");
    path = pattern;
  }
  ~TempFolder() {
    std::error_code ec;
    std::filesystem::remove_all(path, ec);
  }
  std::string path;
};

/// One step of the story: what the world was before it, whose disk it uses and how.
struct Moment {
  Traders::Snapshot before;
  int who;
  enum class What { open, step, close } what;
  std::size_t operations;
  std::uint64_t blocks_after = 0;  ///< of the own chain, after a step
};

void act(Traders& traders, const Moment& moment) {
  if (moment.what == Moment::What::open) check(traders.open(moment.who), "a healthy disk");
  if (moment.what == Moment::What::step) check(traders.step(), "a healthy disk");
  if (moment.what == Moment::What::close) traders.close(moment.who);
}

/// The story without any fault, step by step.
class Teller {
 public:
  Teller(std::string folder, const Traders::Snapshot& begin) : folder_(std::move(folder)), traders_(std::make_unique<Traders>(folder_, begin)) {}

  /// `losses`: after so many steps a store is gone, or an earlier state of it is back.
  std::vector<Moment> tell(const std::map<std::size_t, int>& losses) {
    for (int who : {0, 1}) happen(who, Moment::What::open);
    std::size_t steps = 0;
    for (int who; (who = traders_->next()) >= 0;) {
      happen(who, Moment::What::step);
      if (++steps == most_steps) throw Violation("the story never ends");
      if (auto loss = losses.find(steps); loss != losses.end()) lose(loss->second);
      if (steps % restart_every != 0) continue;
      happen(who, Moment::What::close);
      happen(who, Moment::What::open);
    }
    traders_->judge();
    return std::move(story_);
  }

 private:
  void happen(int who, Moment::What what) {
    Moment moment{traders_->snapshot(), who, what, traders_->disk(who).operations()};
    act(*traders_, moment);
    moment.operations = traders_->disk(who).operations() - moment.operations;
    if (what == Moment::What::step) moment.blocks_after = traders_->store(who).balance().blocks;
    story_.push_back(std::move(moment));
  }

  /// The first node finds the store that it had after its first steps, the second none at all.
  void lose(int who) {
    const auto after = put_back(*traders_, who, who == 0 ? story_[earlier].before.images[who] : Image{});
    traders_.reset();  // its disks make room for those of the new world
    traders_ = std::make_unique<Traders>(folder_, after);
    check(traders_->open(1 - who), "a healthy disk");
    happen(who, Moment::What::open);
    traders_->meet(true);
  }

  static constexpr std::size_t earlier = 5, most_steps = 200;
  std::string folder_;
  std::unique_ptr<Traders> traders_;
  std::vector<Moment> story_;
};

struct Counts { long cuts = 0, recovery_cuts = 0, recovery_moments = 0, refusals = 0, forks = 0; };

class Judge {
 public:
  Judge(std::string folder, std::uint64_t seed, std::uint64_t thin) : folder_(std::move(folder)), dice_(seed), thin_(thin) {}

  /// Brings a world to life again in which `who` finds `image` on its platter, and judges it at the end.
  void live_on(const Moment& moment, const Image& image, bool deliver, const std::string& fault) {
    try {
      live(moment, image, deliver);
    } catch (const Violation& violation) {
      static const char* words[] = {"opens its store", "takes a step", "closes its store"};
      throw Violation(std::string(violation.what()) + " (node " + std::to_string(moment.who) + " " + words[static_cast<int>(moment.what)] + "; " + fault + ")");
    }
  }

  void live(const Moment& moment, const Image& image, bool deliver) {
    Traders::Snapshot after = moment.before;
    after.images[moment.who] = image;
    Traders traders(folder_, after);
    traders.forget_frames_to(moment.who);
    for (int who : {0, 1})
      if (!traders.open(who)) throw Violation("a healthy disk refuses");
    traders.meet(deliver);
    traders.run_to_the_end();
    traders.judge();
  }

  void cut_everywhere(const Moment& moment) {
    Traders traders(folder_, moment.before);
    if (moment.what != Moment::What::open) check(traders.open(moment.who), "a healthy disk");
    const std::size_t begin = traders.disk(moment.who).operations();
    for (int who : {0, 1})
      if (moment.what == Moment::What::step && who != moment.who) check(traders.open(who), "a healthy disk");
    act(traders, moment);
    const std::size_t end = traders.disk(moment.who).operations();
    for (int who : {0, 1}) traders.close(who);
    for (std::size_t cut = begin; cut < end; ++cut)
      for (int variant = 0; variant < variants; ++variant) {
        const auto unsynced = variant == 0 ? Unsynced::kept : variant == 1 ? Unsynced::lost : variant == 2 ? Unsynced::some_in_order : Unsynced::any_torn;
        images_.push_back(traders.disk(moment.who).after_power_cut(cut, unsynced, dice_));
      }
  }

  void judge_images(const Moment& moment) {
    auto images = std::move(images_);
    images_.clear();
    for (std::size_t i = 0; i < images.size(); ++i) {
      const Image& image = images[i];
      const std::string fault = "power cut before operation " + std::to_string(i / variants) + ", variant " + std::to_string(i % variants);
      live_on(moment, image, dice_() % 2, fault);
      ++counts.cuts;
      cut_in_recovery(moment, image, fault);
    }
  }

  /// Every operation of the step refuses once, or from then on: the node stops, starts anew, and nothing is lost or doubled.
  void refuse_everywhere(const Moment& moment) {
    if (moment.what == Moment::What::close) return;
    for (std::size_t at = 0; at < moment.operations; ++at)
      for (auto [code, lasting] : {std::pair{SQLITE_IOERR_WRITE, false}, {SQLITE_IOERR_WRITE, true}, {SQLITE_FULL, true}}) {
        Image left;
        bool carried_on = false;
        Traders::Snapshot after;
        {
          Traders traders(folder_, moment.before);
          for (int who : {0, 1})
            if (moment.what != Moment::What::open || who != moment.who) check(traders.open(who), "a healthy disk");
          traders.disk(moment.who).refuse(at, code, lasting);
          if (moment.what == Moment::What::open) carried_on = traders.open(moment.who);
          else carried_on = traders.step();
          traders.close(moment.who);
          left = traders.disk(moment.who).files();
          traders.close(1 - moment.who);
          after = traders.snapshot();
        }
        Moment later = moment;
        if (carried_on) later.before = after;
        live_on(later, left, dice_() % 2, "operation " + std::to_string(at) + " refused with " + std::to_string(code) + (lasting ? " and all that followed" : "") + (carried_on ? ", carried on" : ""));
        ++counts.refusals;
      }
  }

  /// A copy of a store from before this step goes on as if nothing had been said since: the other must hold a proof in the end.
  void fork_from(const Moment& moment, const Moment& later) {
    const int who = moment.who;
    Traders::Snapshot world = later.before;
    world.images[who] = moment.before.images[who];
    world.wire.clear();
    Traders traders(folder_, world);
    for (int each : {0, 1}) check(traders.open(each), "a healthy disk");
    auto rival = traders.store(who).begin() ? traders.store(who).hold(key_of_trader(1 - who).key(), sha256("rival"), {}, 1, 9, 5) : Result<Block>(fail(Code::io, ""));
    check(rival.ok(), "the copy goes on");
    Store& other = traders.store(1 - who);
    bool seen_before = false;
    for (const auto& id : world.said[who]) {
      auto known = other.find_block(id);
      seen_before = seen_before || (known && known->seq == rival->seq);
    }
    if (!seen_before) return;
    check(other.begin().ok(), "a healthy disk");
    (void)other.keep_foreign(*rival);
    (void)other.commit();
    if (!other.fraud_of(key_of_trader(who).key())) throw Violation("a fork at seq " + std::to_string(rival->seq) + " was not noticed");
    ++counts.forks;
  }

  Counts counts;

 private:
  /// The power goes again while the store is opened, caught up where it has to be, and closed: at any moment of it, torn anew.
  void cut_in_recovery(const Moment& moment, const Image& image, const std::string& fault) {
    std::vector<Image> again;
    {
      Traders::Snapshot after = moment.before;
      after.images[moment.who] = image;
      Traders traders(folder_, after);
      check(traders.open(moment.who), "a healthy disk");
      traders.close(moment.who);  // closing writes the log back into the file: part of what may be cut
      FaultyDisk& disk = traders.disk(moment.who);
      for (std::size_t at = 0; at < disk.operations(); ++at) {
        ++counts.recovery_moments;
        if (dice_() % thin_ == 0) again.push_back(disk.after_power_cut(at, dice_() % 4 ? Unsynced::any_torn : Unsynced::lost, dice_));
      }
    }
    for (const Image& each : again) {
      live_on(moment, each, dice_() % 2, fault + ", and again in recovery");
      ++counts.recovery_cuts;
    }
  }

  std::string folder_;
  std::mt19937_64 dice_;
  std::uint64_t thin_;
  std::vector<Image> images_;
};

/// What the program was asked for.
struct Wishes { long least = 0; std::uint64_t seed = 1, thin = 12; };

struct Stories { std::vector<Moment> whole, checkpoint; };

/// The moments of a story at which a segment ends: the step that writes the CHECKPOINT, and its neighbours.
std::vector<Moment> around_the_checkpoint(const std::vector<Moment>& story) {
  std::vector<Moment> few;
  for (const Moment& moment : story)
    if (moment.who == 0 && moment.what == Moment::What::step && moment.blocks_after + 2 >= segment_blocks && moment.blocks_after <= segment_blocks + 3) few.push_back(moment);
  check(few.size() >= 2, "the story leads over the end of a segment");
  return few;
}

int work(const Stories& stories, int worker, const Wishes& wishes, int report) {
  TempFolder dir;
  Judge judge(dir.path, wishes.seed + static_cast<std::uint64_t>(worker), wishes.thin);
  auto tried = [&] { return judge.counts.cuts + judge.counts.recovery_cuts + judge.counts.refusals; };
  const auto& story = stories.whole;
  auto mine = [&](std::size_t i) { return i % workers == static_cast<std::size_t>(worker); };
  try {
    for (std::size_t i = 0; i < story.size(); ++i)
      for (std::size_t later = i + 1; mine(i) && later < story.size(); ++later)
        if (story[i].what == Moment::What::step && story[later].what == Moment::What::step) judge.fork_from(story[i], story[later]);
    for (std::size_t i = 0; i < stories.checkpoint.size(); ++i) {
      if (!mine(i)) continue;
      judge.cut_everywhere(stories.checkpoint[i]);
      judge.judge_images(stories.checkpoint[i]);
      judge.refuse_everywhere(stories.checkpoint[i]);
    }
    for (int round = 0; round == 0 || tried() < wishes.least / workers; ++round)
      for (std::size_t i = 0; i < story.size(); ++i) {
        if (!mine(i) || (round > 0 && tried() >= wishes.least / workers)) continue;
        judge.cut_everywhere(story[i]);
        judge.judge_images(story[i]);
        if (round > 0) continue;
        judge.refuse_everywhere(story[i]);
      }
  } catch (const Violation& violation) {
    std::printf("violation: %s\n", violation.what());
    std::fflush(stdout);
    return 3;
  }
  return write(report, &judge.counts, sizeof judge.counts) == sizeof judge.counts ? 0 : 1;
}

/// Stores are lost in the middle of the whole story: the first node's is put back to what it was, the second's is gone.
const std::map<std::size_t, int> losses{{12, 0}, {19, 1}};

}  // namespace

int main(int argc, char** argv) {
  Wishes wishes;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--least") == 0) wishes.least = std::atol(argv[i + 1]);
    else if (std::strcmp(argv[i], "--seed") == 0) wishes.seed = std::strtoull(argv[i + 1], nullptr, 10);
    else if (std::strcmp(argv[i], "--thin") == 0) wishes.thin = std::max(1ULL, std::strtoull(argv[i + 1], nullptr, 10));
    else return 2;
  }
  Stories stories;
  try {
    TempFolder dir;
    stories.whole = Teller(dir.path, {}).tell(losses);
    const auto long_ago = near_a_checkpoint(dir.path);
    stories.checkpoint = around_the_checkpoint(Teller(dir.path, long_ago).tell({}));
  } catch (const Violation& violation) {
    std::printf("violation: without any fault: %s\n", violation.what());
    return 3;
  }
  std::size_t operations = 0;
  for (const auto* story : {&stories.whole, &stories.checkpoint})
    for (const Moment& moment : *story) operations += moment.operations;
  int reports[2];
  if (pipe(reports) != 0) return 1;
  std::vector<pid_t> children;
  for (int worker = 0; worker < workers; ++worker) {
    const pid_t child = fork();
    if (child == 0) _exit(work(stories, worker, wishes, reports[1]));
    children.push_back(child);
  }
  int worst = 0;
  for (pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    worst = std::max(worst, WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  }
  if (worst != 0) return worst;
  Counts all;
  for (int worker = 0; worker < workers; ++worker) {
    Counts part;
    if (read(reports[0], &part, sizeof part) != sizeof part) return 1;
    all.cuts += part.cuts, all.recovery_cuts += part.recovery_cuts, all.recovery_moments += part.recovery_moments, all.refusals += part.refusals, all.forks += part.forks;
  }
  const long points = all.cuts + all.recovery_cuts + all.refusals;
  std::printf("seed %llu: %zu steps with %zu disk operations; %ld power cuts, %ld more at %ld moments of recovery, %ld refused operations: %ld points; %ld forks noticed; no law broken\n",
              static_cast<unsigned long long>(wishes.seed), stories.whole.size() + stories.checkpoint.size(), operations, all.cuts, all.recovery_cuts, all.recovery_moments, all.refusals, points, all.forks);
  return points >= wishes.least ? 0 : 1;
}
