// The program's entry: the only catch and the only exit.
#include <attn/error.hpp>

int main() { return static_cast<int>(attn::Status::ok); }
