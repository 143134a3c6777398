// Result<T>: an expected failure as a value. A code for programs, a sentence for people.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "core/check.h"

namespace tnode {

/// The named reasons of failure that a caller may act on. `tnode` maps them to exit statuses.
enum class Code : std::uint8_t {
  invalid,       // bytes or words from outside that break the rules
  not_found,     // no such file, id, task or key
  exists,        // it is already there, and different
  io,            // the operating system refused: disk full, permission, …
  unavailable,   // a needed program, kernel feature or port is missing or taken
  timeout,       // a named wait ended
  credit,        // the balance does not allow it
  newer,         // written by a newer version of tnode
  refused,       // the other side, or a policy, said no
};

struct Error {
  Code code = Code::invalid;
  std::string message;  // what was tried, on what, what to do next
};

/// Either a T or an Error. `value()` of a failure is a programmer's mistake and ends the process.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return error_; }
  T& value() & { check(ok(), error_.message.c_str()); return *value_; }
  const T& value() const& { check(ok(), error_.message.c_str()); return *value_; }
  T&& value() && { check(ok(), error_.message.c_str()); return std::move(*value_); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::optional<T> value_;
  Error error_;
};

/// Success without a value, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

inline Error fail(Code code, std::string message) { return Error{code, std::move(message)}; }

}  // namespace tnode
