// What tnode itself brings into a sandbox, as bytes inside this program: nothing has to be found on disk.
#pragma once
#include <string_view>

namespace tnode {

/// The static program that runs first in every sandbox.
std::string_view init_image();
/// The warm command of `warm: python3`.
std::string_view warm_python_image();

}  // namespace tnode
