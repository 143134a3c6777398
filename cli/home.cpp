#include "cli/home.h"

#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "cli/durable_file.h"

namespace tnode {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

Result<KeyPair> read_key(const std::string& path) {
  std::ifstream file(path);
  if (!file && errno != ENOENT) return fail(Code::io, "cannot read the key " + path + ": " + std::strerror(errno) + "; is this home somebody else's?");
  if (!file) return fail(Code::not_found, "there is no key at " + path + " yet; any command that takes part makes one");
  std::string text;
  file >> text;
  auto bytes = from_hex(text);
  if (!bytes || bytes->size() != 32) return fail(Code::invalid, path + " is no key: it should hold 64 hex digits; restore it from a backup, or move it away to get a new key");
  Seed seed;
  std::memcpy(seed.data(), bytes->data(), seed.size());
  return KeyPair::from_seed(seed);
}

}  // namespace

Result<Home> Home::find(const std::string& given) {
  Home home;
  home.given_ = !given.empty();
  home.dir_ = !given.empty() ? given : environment("TNODE_HOME");
  if (!home.dir_.empty()) {
    home.dir_ = std::filesystem::absolute(home.dir_).lexically_normal().string();
    while (home.dir_.size() > 1 && home.dir_.back() == '/') home.dir_.pop_back();
    home.config_dir_ = home.dir_;
    return home;
  }
  const std::string user = environment("HOME");
  std::string data = environment("XDG_DATA_HOME"), config = environment("XDG_CONFIG_HOME");
  if (data.empty() && user.empty()) return fail(Code::not_found, "neither --home, TNODE_HOME, XDG_DATA_HOME nor HOME says where this node's files are; give --home DIR");
  home.dir_ = (data.empty() ? user + "/.local/share" : data) + "/tnode";
  home.config_dir_ = config.empty() && user.empty() ? home.dir_ : (config.empty() ? user + "/.config" : config) + "/tnode";
  return home;
}

Result<void> Home::make() const {
  for (const std::string& path : {dir_, dir_ + "/tasks", dir_ + "/results", dir_ + "/inputs", runtimes_dir(), work_dir(), control_dir(), logs_dir()}) {
    std::error_code ec;
    std::filesystem::create_directories(path, ec);
    if (ec) return fail(Code::io, "cannot make the folder " + path + ": " + ec.message());
  }
  chmod(dir_.c_str(), 0700);
  return {};
}

std::string Home::command(const std::string& rest) const {
  if (!given_) return "tnode " + rest;
  std::string shown;
  const bool plain = std::all_of(dir_.begin(), dir_.end(), [](unsigned char c) { return std::isalnum(c) || std::strchr("/._-+,:@%", c); });
  for (char c : dir_) shown += c == '\'' ? "'\\''" : std::string(1, c);
  return "tnode --home " + (plain ? dir_ : "'" + shown + "'") + " " + rest;
}

Result<std::int64_t> Home::free_bytes() const {
  std::error_code ec;
  const auto space = std::filesystem::space(dir_, ec);
  if (ec) return fail(Code::io, "the home " + dir_ + " cannot be looked at: " + ec.message());
  return static_cast<std::int64_t>(space.available);
}

Result<KeyPair> Home::existing_key() const { return read_key(key_path()); }

Result<void> Home::put_key(const KeyPair& key) const {
  return write_new_durably(key_path(), to_hex({reinterpret_cast<const char*>(key.seed().data()), key.seed().size()}) + "\n");
}

Result<KeyPair> Home::key() const {
  auto key = read_key(key_path());
  if (key || key.error().code != Code::not_found) return key;
  std::error_code ec;
  for (const std::string& rest : {store_path(), restored_path()})
    if (std::filesystem::exists(rest, ec))
      return fail(Code::not_found, "there is no key at " + key_path() + ", but " + rest + " belongs to one: put the key back with `" + command("key restore FILE") + "`, or move " + rest + " away to begin anew with another key");
  Seed seed;
  if (getrandom(seed.data(), seed.size(), 0) != static_cast<ssize_t>(seed.size())) return fail(Code::io, std::string("no randomness for a new key: ") + std::strerror(errno));
  if (auto marked = write_durably(unused_key_path(), ""); !marked) return marked.error();
  // When two commands start at once, the first key stands.
  if (auto made = put_key(KeyPair::from_seed(seed)); !made && made.error().code != Code::exists) return made.error();
  return read_key(key_path());
}

}  // namespace tnode
