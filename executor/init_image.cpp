#include "executor/init_image.h"

// Both paths are set by CMake: the program built from executor/init, and executor/warm/python3.py.
asm(R"(
  .section .rodata
  .global tnode_init_begin
  .global tnode_init_end
  .balign 16
tnode_init_begin:
  .incbin ")" TNODE_INIT_PATH R"("
tnode_init_end:
  .byte 0
  .global tnode_warm_python_begin
  .global tnode_warm_python_end
tnode_warm_python_begin:
  .incbin ")" TNODE_WARM_PYTHON_PATH R"("
tnode_warm_python_end:
  .byte 0
  .previous
)");

extern "C" const char tnode_init_begin[], tnode_init_end[], tnode_warm_python_begin[], tnode_warm_python_end[];

namespace tnode {

std::string_view init_image() { return {tnode_init_begin, static_cast<std::size_t>(tnode_init_end - tnode_init_begin)}; }

std::string_view warm_python_image() { return {tnode_warm_python_begin, static_cast<std::size_t>(tnode_warm_python_end - tnode_warm_python_begin)}; }

}  // namespace tnode
