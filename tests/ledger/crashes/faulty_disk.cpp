#include "tests/ledger/crashes/faulty_disk.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "core/check.h"

namespace tnode::crashes {
namespace {

constexpr std::size_t sector_bytes = 512;

std::map<std::string, FaultyDisk*>& disks() {
  static std::map<std::string, FaultyDisk*> all;
  return all;
}

/// The disk that a path is on, and the file's name there: what follows the disk's own path.
struct Place { FaultyDisk* disk = nullptr; std::string name; };
Place place_of(const std::string& path) {
  for (const auto& [prefix, disk] : disks())
    if (path.starts_with(prefix)) return {disk, path.substr(prefix.size())};
  return {};
}

// --- the VFS ---

/// What SQLite allocates for each open file; `shared` is the WAL index, which lives in memory on real systems too.
struct File {
  sqlite3_file base;
  FaultyDisk* disk;
  std::string* name;
  std::vector<std::unique_ptr<Bytes>>* shared;
};
File& as_file(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }

int close_file(sqlite3_file* file) {
  delete as_file(file).name;
  delete as_file(file).shared;
  return SQLITE_OK;
}
int read_file(sqlite3_file* file, void* into, int amount, sqlite3_int64 offset) {
  const Bytes& content = as_file(file).disk->content(*as_file(file).name);
  const auto at = std::min(static_cast<std::size_t>(offset), content.size());
  const auto got = std::min(static_cast<std::size_t>(amount), content.size() - at);
  std::memset(into, 0, static_cast<std::size_t>(amount));
  std::memcpy(into, content.data() + at, got);
  return got == static_cast<std::size_t>(amount) ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}
int write_file(sqlite3_file* file, const void* from, int amount, sqlite3_int64 offset) {
  return as_file(file).disk->operate(FaultyDisk::Kind::write, *as_file(file).name, offset, {static_cast<const char*>(from), static_cast<std::size_t>(amount)});
}
int truncate_file(sqlite3_file* file, sqlite3_int64 size) { return as_file(file).disk->operate(FaultyDisk::Kind::truncate, *as_file(file).name, size, {}); }
int sync_file(sqlite3_file* file, int) { return as_file(file).disk->operate(FaultyDisk::Kind::sync, *as_file(file).name, 0, {}); }
int size_of_file(sqlite3_file* file, sqlite3_int64* size) {
  *size = static_cast<sqlite3_int64>(as_file(file).disk->content(*as_file(file).name).size());
  return SQLITE_OK;
}
int lock_file(sqlite3_file*, int) { return SQLITE_OK; }
int is_reserved(sqlite3_file*, int* reserved) {
  *reserved = 0;
  return SQLITE_OK;
}
int control_file(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int sector_size(sqlite3_file*) { return 4096; }
int characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }  // as the VFS of Unix says of its files
int map_shared(sqlite3_file* file, int region, int size, int extend, void volatile** into) {
  auto& shared = *as_file(file).shared;
  *into = nullptr;
  while (extend && shared.size() <= static_cast<std::size_t>(region)) shared.push_back(std::make_unique<Bytes>(static_cast<std::size_t>(size), '\0'));
  if (shared.size() > static_cast<std::size_t>(region)) *into = shared[static_cast<std::size_t>(region)]->data();
  return SQLITE_OK;
}
int lock_shared(sqlite3_file*, int, int, int) { return SQLITE_OK; }
void barrier(sqlite3_file*) {}
int unmap_shared(sqlite3_file* file, int remove) {
  if (remove) as_file(file).shared->clear();
  return SQLITE_OK;
}

constexpr sqlite3_io_methods methods{2, close_file, read_file, write_file, truncate_file, sync_file, size_of_file, lock_file, lock_file, is_reserved, control_file, sector_size, characteristics,
                                     map_shared, lock_shared, barrier, unmap_shared, nullptr, nullptr};

int open_file(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;
  const auto [disk, name] = place_of(path ? path : "");
  if (!disk || (!(flags & SQLITE_OPEN_CREATE) && !disk->exists(name))) return SQLITE_CANTOPEN;
  disk->content(name);
  as_file(file) = File{{&methods}, disk, new std::string(name), new std::vector<std::unique_ptr<Bytes>>};
  if (out_flags) *out_flags = flags;
  return SQLITE_OK;
}
int remove_file(sqlite3_vfs*, const char* path, int) {
  const auto [disk, name] = place_of(path);
  if (!disk || !disk->exists(name)) return SQLITE_IOERR_DELETE_NOENT;
  return disk->operate(FaultyDisk::Kind::remove, name, 0, {});
}
int access_file(sqlite3_vfs*, const char* path, int, int* result) {
  const auto [disk, name] = place_of(path);
  *result = disk && disk->exists(name);
  return SQLITE_OK;
}
int full_name(sqlite3_vfs*, const char* path, int size, char* into) {
  sqlite3_snprintf(size, into, "%s", path);
  return SQLITE_OK;
}
int randomness(sqlite3_vfs*, int size, char* into) {
  for (int i = 0; i < size; ++i) into[i] = static_cast<char>(i * 7 + 1);  // the same in every run
  return size;
}
int pass_time(sqlite3_vfs*, int microseconds) { return microseconds; }
int current_time(sqlite3_vfs*, double* day) {
  *day = 2461000.0;
  return SQLITE_OK;
}
int last_error(sqlite3_vfs*, int, char*) { return 0; }

void install() {
  static sqlite3_vfs vfs{};
  if (vfs.zName) return;
  vfs.iVersion = 1;
  vfs.szOsFile = sizeof(File);
  vfs.mxPathname = 512;
  vfs.zName = "faulty-disk";
  vfs.xOpen = open_file;
  vfs.xDelete = remove_file;
  vfs.xAccess = access_file;
  vfs.xFullPathname = full_name;
  vfs.xRandomness = randomness;
  vfs.xSleep = pass_time;
  vfs.xCurrentTime = current_time;
  vfs.xGetLastError = last_error;
  sqlite3_vfs_register(&vfs, 1);
}

}  // namespace

// --- the disk ---

FaultyDisk::FaultyDisk(std::string path, Image image) : path_(std::move(path)), first_(std::move(image)), now_(first_) {
  install();
  check(disks().emplace(path_, this).second, "one disk a path");
}
FaultyDisk::~FaultyDisk() { disks().erase(path_); }

void FaultyDisk::refuse(std::size_t at, int code, bool lasting) {
  refusing_ = true;
  refused_ = false;
  lasting_ = lasting;
  refuse_at_ = at;
  refuse_code_ = code;
}

int FaultyDisk::operate(Kind kind, const std::string& file, std::int64_t offset, std::string_view data) {
  if (refusing_ && (refuse_at_ == 0 || (lasting_ && refused_))) {
    // A full disk still syncs, removes and cuts what is there, and still overwrites it.
    const bool grows = kind == Kind::write && static_cast<std::size_t>(offset) + data.size() > now_[file].size();
    if (refuse_code_ != SQLITE_FULL || grows) {
      refused_ = true;
      if (!lasting_) refusing_ = false;
      return refuse_code_;
    }
  } else if (refusing_) {
    --refuse_at_;
  }
  log_.push_back({kind, file, offset, Bytes(data)});
  apply(now_, log_.back());
  return SQLITE_OK;
}

void FaultyDisk::apply(Image& image, const Operation& operation) {
  const auto offset = static_cast<std::size_t>(operation.offset);
  switch (operation.kind) {
    case Kind::write: {
      Bytes& content = image[operation.file];
      if (content.size() < offset + operation.data.size()) content.resize(offset + operation.data.size());
      content.replace(offset, operation.data.size(), operation.data);
      break;
    }
    case Kind::truncate: image[operation.file].resize(offset); break;
    case Kind::remove: image.erase(operation.file); break;
    case Kind::sync: break;
  }
}

void FaultyDisk::apply_torn(Image& image, const Operation& operation, std::mt19937_64& dice) {
  if (operation.kind != Kind::write) {
    if (dice() % 2) apply(image, operation);
    return;
  }
  for (std::size_t at = 0; at < operation.data.size();) {
    const std::size_t end = std::min(operation.data.size(), at + sector_bytes - (static_cast<std::size_t>(operation.offset) + at) % sector_bytes);
    if (dice() % 2) apply(image, {Kind::write, operation.file, operation.offset + static_cast<std::int64_t>(at), operation.data.substr(at, end - at)});
    at = end;
  }
}

Image FaultyDisk::after_power_cut(std::size_t moment, Unsynced unsynced, std::mt19937_64& dice) const {
  std::map<std::string, std::size_t> synced_until;
  for (std::size_t i = 0; i < moment; ++i)
    if (log_[i].kind == Kind::sync) synced_until[log_[i].file] = i;
  std::vector<std::size_t> pending;
  Image image = first_;
  for (std::size_t i = 0; i < moment; ++i) {
    auto synced = synced_until.find(log_[i].file);
    if (synced != synced_until.end() && i < synced->second) apply(image, log_[i]);
    else if (log_[i].kind != Kind::sync) pending.push_back(i);
  }
  std::size_t most = pending.size();
  if (unsynced == Unsynced::lost) most = 0;
  if (unsynced == Unsynced::some_in_order) most = dice() % (pending.size() + 1);
  for (std::size_t n = 0; n < most; ++n) {
    if (unsynced == Unsynced::any_torn) apply_torn(image, log_[pending[n]], dice);
    else apply(image, log_[pending[n]]);
  }
  return image;
}

}  // namespace tnode::crashes
