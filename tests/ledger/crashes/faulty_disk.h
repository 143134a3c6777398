// A disk in memory below SQLite (a VFS of the tests' own) that remembers every write, truncation, removal and sync. From that log it can
// say what a platter may hold after a power cut at any moment: what was synced, and of the rest any part, in any order, torn at 512 bytes.
// It can also refuse: EIO or ENOSPC at a chosen operation. One process, one connection a file.
#pragma once
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "core/types.h"

namespace tnode::crashes {

/// Files by name, as a platter holds them; the name is what follows the disk's path ("", "-wal").
using Image = std::map<std::string, Bytes>;

/// What becomes of writes that were not synced when the power went.
enum class Unsynced { kept, lost, some_in_order, any_torn };

class FaultyDisk {
 public:
  /// Stands behind every file whose path begins with `path`, until it is destroyed.
  FaultyDisk(std::string path, Image image);
  ~FaultyDisk();
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  /// Operations so far: each is a moment at which the power may go.
  std::size_t operations() const { return log_.size(); }
  /// What the platter holds when the power goes before operation `moment`.
  Image after_power_cut(std::size_t moment, Unsynced unsynced, std::mt19937_64& dice) const;
  const Image& files() const { return now_; }

  /// Operation `at`, counted from now on, fails with `code` (SQLITE_IOERR, SQLITE_FULL); `lasting`: so do all that follow.
  void refuse(std::size_t at, int code, bool lasting);
  void heal() { refusing_ = false; }
  bool refused() const { return refused_; }

  // Called by the VFS.
  enum class Kind { write, truncate, remove, sync };
  int operate(Kind kind, const std::string& file, std::int64_t offset, std::string_view data);
  Bytes& content(const std::string& file) { return now_[file]; }
  bool exists(const std::string& file) const { return now_.count(file) != 0; }

 private:
  struct Operation { Kind kind; std::string file; std::int64_t offset; Bytes data; };
  static void apply(Image& image, const Operation& operation);
  static void apply_torn(Image& image, const Operation& operation, std::mt19937_64& dice);

  std::string path_;
  Image first_, now_;
  std::vector<Operation> log_;
  bool refusing_ = false, lasting_ = false, refused_ = false;
  std::size_t refuse_at_ = 0;
  int refuse_code_ = 0;
};

}  // namespace tnode::crashes
