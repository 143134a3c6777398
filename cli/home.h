// A node's folder: its key, store, tasks and results, and where each of them is. Makes folders; decides nothing.
#pragma once
#include <string>

#include "core/crypto.h"
#include "core/runtime.h"
#include "core/types.h"

namespace tnode {

class Home {
 public:
  /// The folder given, else $TNODE_HOME, else the XDG data folder. Nothing is made yet.
  static Result<Home> find(const std::string& given);
  /// Makes the folder and those below it.
  Result<void> make() const;
  /// The node's key; made on first use, readable by its owner alone. `not_found` when there is none and there must have been one.
  Result<KeyPair> key() const;
  /// The key when there is one, else `not_found`.
  Result<KeyPair> existing_key() const;
  /// Bytes that this user can still write below the folder.
  Result<std::int64_t> free_bytes() const;
  /// Puts a key where there is none; `exists` when there is one.
  Result<void> put_key(const KeyPair& key) const;

  const std::string& dir() const { return dir_; }
  std::string config_path() const { return config_dir_ + "/config.yaml"; }
  std::string key_path() const { return dir_ + "/key"; }
  /// There while the key has signed nothing: only then may a chain be begun with it.
  std::string unused_key_path() const { return dir_ + "/key.unused"; }
  std::string restored_path() const { return dir_ + "/restored"; }  ///< see cli/restored.h
  std::string store_path() const { return dir_ + "/tnode.db"; }
  std::string work_dir() const { return dir_ + "/work"; }        ///< what is half done; emptied at every start
  std::string control_dir() const { return dir_ + "/control"; }  ///< requests of other commands to the node that runs here
  std::string logs_dir() const { return dir_ + "/logs"; }
  /// A task's bundle is <task_dir>/<name>/, its torrent <task_dir>/torrent: written last, so its presence says that the bundle is whole.
  std::string task_dir(const TaskId& task) const { return dir_ + "/tasks/" + to_hex(task); }
  std::string result_dir(const ResultId& result) const { return dir_ + "/results/" + to_hex(result); }
  std::string segment_dir(const Hash& bundle) const { return dir_ + "/chains/" + to_hex(bundle); }  ///< blocks of this chain and of chains that were audited
  std::string input_dir(const Hash& foreign) const { return dir_ + "/inputs/" + to_hex(foreign); }
  /// How a user calls this program for this home: "tnode status ID", with --home when it was given.
  std::string command(const std::string& rest) const;
  std::string runtimes_dir() const { return dir_ + "/runtimes"; }
  std::string runtime_dir(const RuntimeId& runtime) const { return runtimes_dir() + "/" + to_hex(runtime); }

 private:
  std::string dir_, config_dir_;
  bool given_ = false;  // by --home; the environment stays as it is for the next command
};

inline constexpr const char* bundle_torrent_name = "torrent";
inline constexpr const char* twin_torrent_name = "v1.torrent";

}  // namespace tnode
