// Two nodes that owe each other deals, each with the real store on a faulty disk, as the node's loop uses it: one transaction a turn,
// messages only after its commit, a record (the outbox) for what must be said until it is answered, everything said again on meeting.
// Beside that one of them hears of a cheat and tells the other, one imports a stranger's chain, and stores are lost and come back.
#pragma once
#include <deque>
#include <memory>
#include <set>
#include <stdexcept>

#include "ledger/store.h"
#include "tests/ledger/crashes/faulty_disk.h"

namespace tnode::crashes {

/// A law is broken: what a planted bug must cause, and nothing else may.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class DealKind { paid, released, direct };
struct Deal { int payer; DealKind kind; Micro amount; };
/// What the two trade: awards that are paid, one that is given back, payments outside of tasks, in both directions.
const std::vector<Deal>& plan();

struct Frame { int to; std::string what; std::size_t deal; Bytes block; };

class Traders {
 public:
  struct Snapshot {
    Image images[2];
    std::deque<Frame> wire;
    std::set<BlockId> said[2];
    Bytes published[2];  ///< while a node's chain is in doubt: what others have of it
  };
  Traders(const std::string& folder, const Snapshot& from);

  /// Opens a node's store; one in doubt catches up and is trusted again. False when its disk refused; a store that is damaged is a violation.
  bool open(int who);
  void close(int who) { stores_[who].reset(); }
  bool is_open(int who) const { return stores_[who] != nullptr; }
  /// The next thing that anyone does: a message taken, or a deal begun; whose it is, or -1 when nothing is left to do.
  int next() const;
  /// Does it, as one transaction. False when the store refused: that node has to stop, nothing was said.
  bool step();
  /// Both have met: what was on the way is lost or not, what is open is said again.
  void meet(bool deliver);
  /// Drops what was sent to a node that went down.
  void forget_frames_to(int who);
  void run_to_the_end();
  /// The laws: nothing said is forgotten, every deal is closed once and booked once, nobody looks like a cheat.
  void judge();

  Snapshot snapshot() const;
  FaultyDisk& disk(int who) { return *disks_[who]; }
  Store& store(int who) { return *stores_[who]; }

 private:
  bool take(Store& store, int who, const Frame& frame);
  bool begin_deal(Store& store, int who, std::size_t deal);
  bool catch_up(int who);
  bool hear_of_cheat(Store& store);
  bool import_stranger(Store& store);
  bool errand_left(int who) const;
  void say(int from, Frame frame);
  std::optional<std::size_t> untouched_deal(int who) const;

  std::string folder_;
  std::unique_ptr<FaultyDisk> disks_[2];
  std::unique_ptr<Store> stores_[2];
  std::deque<Frame> wire_;
  std::vector<Frame> due_;  // to be said once the transaction is durable
  std::set<BlockId> said_[2];
  Bytes published_[2];
};

/// What becomes of a world in which `who` finds an older state of its store, or none (`image`), and knows that this may be so.
Traders::Snapshot put_back(Traders& traders, int who, const Image& image);
/// A world in which the first node's chain is just below the end of a segment, where a CHECKPOINT belongs.
Traders::Snapshot near_a_checkpoint(const std::string& folder);

const KeyPair& key_of_trader(int who);

}  // namespace tnode::crashes
