// Takes the stream of a sandbox's outputs and makes files of it, within limits. The sandbox never touches the folder written to.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/crypto.h"
#include "core/execution.h"

namespace tnode {

class OutputWriter {
 public:
  OutputWriter(std::string folder, std::vector<std::string> patterns, const RunLimits& limits) : folder_(std::move(folder)), patterns_(std::move(patterns)), limits_(limits) {}
  ~OutputWriter() { close_file(); }
  OutputWriter(const OutputWriter&) = delete;
  OutputWriter& operator=(const OutputWriter&) = delete;

  /// A file follows. `refused` when there are too many files or bytes, `invalid` for its name. `io` when this machine cannot write.
  Result<void> begin(const std::string& path, std::int64_t size, bool executable);
  Result<void> data(std::string_view bytes);
  /// Bytes of the begun file that are still to come.
  std::int64_t expected() const { return open_ ? left_ : 0; }
  /// All of an index's files are in: their names must not collide. The next one has the whole disk again.
  Result<void> end_index();
  /// All of a unit's files are in: names of one unit must not collide. Sorted by path.
  Result<std::vector<OutputFile>> finish() const;
  /// A unit that failed leaves no files.
  void discard();

 private:
  Result<void> end_file();
  void close_file();

  std::string folder_;
  std::vector<std::string> patterns_;
  RunLimits limits_;
  struct Written { std::int64_t size = 0; bool executable = false; Hash content; };
  std::map<std::string, Written> written_;
  std::int64_t bytes_ = 0, index_bytes_ = 0;
  std::vector<std::string> index_paths_;
  // the file that is coming in
  int fd_ = -1;
  bool open_ = false, skipped_ = false, repeated_ = false;
  std::string path_;
  std::int64_t left_ = 0;
  Written current_;
  Sha256 hash_;
};

}  // namespace tnode
