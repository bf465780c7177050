// The backend of an operating system that has none yet: it builds and loads anywhere, touches no OS
// interface and answers ENOTSUP to everything, so that a caller learns why instead of failing to load.
#include "platform.h"

namespace pidproof {

namespace {

Status unsupported() { return {"ENOTSUP", "", 0}; }

}  // namespace

// Never made here; the contract needs the type to be complete where pins are released.
struct Pin {};

Status read_host(Host* /*host*/) { return unsupported(); }

Status scan_processes(uint32_t /*fields*/, const ScanFilter& /*filter*/, ScanResult* /*result*/) {
  return unsupported();
}

Status read_process(int32_t /*pid*/, uint32_t /*fields*/, ProcessRow* /*row*/) { return unsupported(); }

Status verify_process(const Target& /*target*/, Liveness* /*liveness*/) { return unsupported(); }

Status open_pin(const Target& /*target*/, std::shared_ptr<Pin>* /*pin*/, Liveness* /*liveness*/) {
  return unsupported();
}

Status open_group_pin(const Target& /*target*/, std::shared_ptr<Pin>* /*pin*/) { return unsupported(); }

Status pin_state(const Pin& /*pin*/, Liveness* /*liveness*/) { return unsupported(); }

Status signal_pin(const Pin& /*pin*/, int /*signal*/, SignalScope /*scope*/, SignalReport* /*report*/) {
  return unsupported();
}

Status wait_pins(const std::vector<std::shared_ptr<Pin>>& /*pins*/, int /*timeout_ms*/, std::vector<bool>* /*exited*/) {
  return unsupported();
}

Status create_exit_watcher(ExitWatcher::Callback /*callback*/, std::unique_ptr<ExitWatcher>* /*watcher*/) {
  return unsupported();
}

Status list_sockets(const SocketQuery& /*query*/, SocketList* /*list*/) { return unsupported(); }

Status find_socket_holders(const std::vector<SocketHint>& /*sockets*/, HolderList* /*list*/) { return unsupported(); }

Status list_process_sockets(int32_t /*pid*/, std::vector<uint64_t>* /*inodes*/) { return unsupported(); }

Status read_capabilities(std::vector<Capability>* /*capabilities*/) { return unsupported(); }

}  // namespace pidproof
