#include "cli/passphrase.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/bundle_disk.h"

namespace tnode {
namespace {

/// The terminal shows nothing and sends no signals while this lives: who gives up presses Ctrl-C, which is a character like others then.
class Unseen {
 public:
  explicit Unseen(int terminal) : terminal_(terminal) {
    if (tcgetattr(terminal_, &before_) != 0) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ISIG);
    silent.c_lflag |= ICANON;
    changed_ = tcsetattr(terminal_, TCSAFLUSH, &silent) == 0;
  }
  ~Unseen() { if (changed_) tcsetattr(terminal_, TCSAFLUSH, &before_); }
  bool holds() const { return changed_; }

 private:
  int terminal_;
  termios before_{};
  bool changed_ = false;
};

Result<std::string> read_line(int terminal, const std::string& question) {
  if (write(terminal, question.data(), question.size()) < 0) return fail(Code::io, std::string("the terminal: ") + std::strerror(errno));
  std::string line;
  bool given_up = false;
  for (char c; !given_up && read(terminal, &c, 1) == 1 && c != '\n';) {
    given_up = c == '\x03';
    if (line.size() <= most_passphrase) line += c;
  }
  (void)!write(terminal, "\n", 1);
  if (given_up) return fail(Code::refused, "interrupted; nothing was written");
  return line;
}

Result<std::string> ask(bool fresh) {
  const int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (terminal < 0) return fail(Code::unavailable, "there is no terminal to ask for the passphrase; give --passphrase-file FILE, whose first line is the passphrase");
  struct Closer { int fd; ~Closer() { close(fd); } } closer{terminal};
  Unseen unseen(terminal);
  if (!unseen.holds()) return fail(Code::unavailable, "the terminal would show the passphrase; give --passphrase-file FILE, whose first line is the passphrase");
  auto passphrase = read_line(terminal, "Passphrase: ");
  if (!passphrase || !fresh) return passphrase;
  auto again = read_line(terminal, "The same again: ");
  if (again && *again != *passphrase) return fail(Code::invalid, "the two passphrases differ; nothing was written");
  return again;
}

Result<std::string> first_line(const std::string& file) {
  auto text = read_file(file);
  if (!text) return fail(text.error().code, "--passphrase-file: " + text.error().message);
  std::string line = text->substr(0, text->find('\n'));
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

}  // namespace

Result<std::string> read_passphrase(const std::string& file, bool fresh) {
  auto passphrase = file.empty() ? ask(fresh) : first_line(file);
  if (!passphrase) return passphrase;
  if (passphrase->size() > most_passphrase) return fail(Code::invalid, "a passphrase has at most " + std::to_string(most_passphrase) + " bytes");
  if (fresh && passphrase->size() < least_passphrase)
    return fail(Code::invalid, "a passphrase has at least " + std::to_string(least_passphrase) + " characters: whoever finds the backup can try as many as he likes; a few words that do not belong together are good");
  return passphrase;
}

}  // namespace tnode
