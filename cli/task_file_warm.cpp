#include "cli/task_file_warm.h"

#include <cctype>

#include "core/bundle_paths.h"

namespace tnode {
namespace {

using Kind = TreeNode::Kind;

constexpr const char* forms = "'python3', {python3: [numpy]} with modules to import first, or the command of a warm server such as [in/server]";

bool is_module_name(const std::string& name) {
  bool begins = true;
  for (char c : name) {
    const bool letter = std::isalpha(static_cast<unsigned char>(c)) || c == '_';
    if (!letter && (begins || (c != '.' && !std::isdigit(static_cast<unsigned char>(c))))) return false;
    begins = c == '.';
  }
  return !begins;
}

void read_command(const TreeNode& node, TaskFile& task, std::vector<TaskFileProblem>& problems) {
  if (node.items.empty()) problems.push_back(node.problem("the warm command is empty; expected " + std::string(forms)));
  if (node.items.size() > max_command_parts) return problems.push_back(node.problem("the warm command has more than " + std::to_string(max_command_parts) + " parts"));
  for (const auto& item : node.items) {
    if (item.kind != Kind::scalar || item.text.find('\0') != std::string::npos) problems.push_back(item.problem("expected a text"));
    else if (item.text.find("{index}") != std::string::npos || item.text.find("{value}") != std::string::npos)
      problems.push_back(item.problem("the warm command starts once for all indices, so nothing is replaced in it"));
    task.spec.warm.push_back(item.text);
  }
  if (!node.items.empty() && task.spec.warm.front().empty()) problems.push_back(node.items.front().problem("the program's name is empty"));
}

void read_modules(const TreeNode& node, TaskFile& task, std::vector<TaskFileProblem>& problems) {
  if (node.kind != Kind::list) return problems.push_back(node.problem("expected a list of Python modules, such as [numpy]"));
  if (node.items.size() > max_command_parts - 2) return problems.push_back(node.problem("more than " + std::to_string(max_command_parts - 2) + " modules"));
  task.spec.warm = {"python3", warm_python_path};
  for (const auto& item : node.items) {
    if (item.kind != Kind::scalar || !is_module_name(item.text)) problems.push_back(item.problem("expected the name of a Python module"));
    task.spec.warm.push_back(item.text);
  }
}

bool is_hint(const TreeNode& node) { return node.kind == Kind::scalar && node.text == warm_python_hint; }

}  // namespace

void read_warm_hint(const TreeNode& node, Terms& terms, std::vector<TaskFileProblem>& problems) {
  if (is_hint(node)) terms.warm = node.text;
  else problems.push_back(node.problem("expected 'python3'; other forms of 'warm' are part of what is computed, and a .torrent is packed already"));
}

void read_warm(const TreeNode& node, TaskFile& task, std::vector<TaskFileProblem>& problems) {
  const bool for_python = !task.spec.command.empty() && task.spec.command.front() == "python3";
  const TreeNode* modules = node.kind == Kind::map && node.entries.size() == 1 ? node.find(warm_python_hint) : nullptr;
  if (node.kind == Kind::list) return read_command(node, task, problems);
  if (!is_hint(node) && !modules) return problems.push_back(node.problem("expected " + std::string(forms)));
  if (!task.spec.command.empty() && !for_python) return problems.push_back(node.problem("'warm: python3' is for a command that begins with python3"));
  if (modules) return read_modules(*modules, task, problems);
  task.terms.warm = node.text;
}

}  // namespace tnode
