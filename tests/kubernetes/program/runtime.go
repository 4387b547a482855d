// Copyright (c) 2026, gpufleet.mig contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-client/pkg/fake"
)

// Where cgroups can be made in each of systemd's set-ups; a hybrid one has the last two.
var hierarchies = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"}

// Takes its place in the cgroups, its first arguments up to --, then its mounts, each a host's path, a container's path
// and ro or rw, and becomes the command after the second --. With PROC it is in a namespace of processes, which a new
// /proc shows; what a test host has of its own in there stays, such as its boot id.
const prepare = `
while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs"; shift; done; shift
if [ -n "${PROC-}" ]; then
    mount --rbind /proc /mnt; mount -t proc proc /proc; unset PROC
    for part in driver sys; do mount --rbind "/mnt/$part" "/proc/$part"; done; umount -l /mnt
fi
while [ "$1" != -- ]; do
    [ -e "$1" ] || mkdir -p "$1"
    if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "$(dirname "$2")"; [ -e "$2" ] || : > "$2"; fi
    mount --rbind "$1" "$2"
    [ "$3" = rw ] || mount -o remount,bind,ro "$2"
    shift 3
done; shift
exec "$@"`

const visibleDevices = "NVIDIA_VISIBLE_DEVICES"

// What the API server is reached by. There is no proxy that would route the address of its service.
var serviceVariables = []string{"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"}

// A containerRuntime is Kubernetes' own fake of one, but for the processes: a container's command runs as a process of
// this host, without an image, in a cgroup where cgroupfs' driver would put it. It sees the host's files, and over them
// what the kubelet mounts for it; of processes only the pod's where those share a namespace, all of them otherwise.
// A container that was given GPUs or MIG devices is a client of those simulated ones.
type containerRuntime struct {
	*fake.RemoteRuntime
	mutex      sync.Mutex
	containers map[string]*container
	sandboxes  map[string]*os.Process // the first process of a pod whose containers share a namespace of processes
}

type container struct {
	config  *cri.ContainerConfig
	sandbox *os.Process // nil where the pod has no namespace of processes
	logPath string
	cgroups []string
	process *os.Process   // nil before its start
	ended   chan struct{} // closed when the process has ended
}

// runContainerRuntime serves CRI on this socket.
func runContainerRuntime(socket string) error {
	served := &containerRuntime{
		RemoteRuntime: fake.NewFakeRemoteRuntime(),
		containers:    map[string]*container{},
		sandboxes:     map[string]*os.Process{},
	}
	served.RuntimeService.FakeStatus = &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
		{Type: cri.RuntimeReady, Status: true},
		{Type: cri.NetworkReady, Status: true},
	}}
	served.ImageService.SetFakeImageSize(1) // an image without a size is not taken
	served.RuntimeService.FakeLinuxConfiguration = &cri.LinuxRuntimeConfiguration{CgroupDriver: cri.CgroupDriver_CGROUPFS}
	served.ImageService.SetFakeFilesystemUsage([]*cri.FilesystemUsage{{
		Timestamp:  time.Now().UnixNano(),
		FsId:       &cri.FilesystemIdentifier{Mountpoint: "/"},
		UsedBytes:  &cri.UInt64Value{},
		InodesUsed: &cri.UInt64Value{},
	}})
	listener, err := listen(socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	cri.RegisterRuntimeServiceServer(server, served)
	cri.RegisterImageServiceServer(server, served)
	return server.Serve(listener)
}

func (r *containerRuntime) find(id string) (*container, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if found := r.containers[id]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("no container %s", id)
}

func (r *containerRuntime) RunPodSandbox(ctx context.Context, request *cri.RunPodSandboxRequest) (*cri.RunPodSandboxResponse, error) {
	answer, err := r.RemoteRuntime.RunPodSandbox(ctx, request)
	if err != nil || request.Config.GetLinux().GetSecurityContext().GetNamespaceOptions().GetPid() != cri.NamespaceMode_POD {
		return answer, err
	}
	// Processes whose parent has ended become its own, and vanish when they end.
	first := exec.Command("/bin/sh", "-c", "trap '' CHLD; exec sleep infinity")
	first.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if err := first.Start(); err != nil {
		return nil, err
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.sandboxes[answer.PodSandboxId] = first.Process
	return answer, nil
}

func (r *containerRuntime) RemovePodSandbox(ctx context.Context, request *cri.RemovePodSandboxRequest) (*cri.RemovePodSandboxResponse, error) {
	r.mutex.Lock()
	if first := r.sandboxes[request.PodSandboxId]; first != nil {
		first.Kill() // and with it what is left in its namespace
		first.Wait()
		delete(r.sandboxes, request.PodSandboxId)
	}
	r.mutex.Unlock()
	return r.RemoteRuntime.RemovePodSandbox(ctx, request)
}

func (r *containerRuntime) CreateContainer(ctx context.Context, request *cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
	answer, err := r.RemoteRuntime.CreateContainer(ctx, request)
	if err != nil {
		return nil, err
	}
	random := make([]byte, 32)
	rand.Read(random)
	id := hex.EncodeToString(random)
	made := &container{
		config:  request.Config,
		logPath: filepath.Join(request.SandboxConfig.LogDirectory, request.Config.LogPath),
		ended:   make(chan struct{}),
	}
	for _, hierarchy := range hierarchies {
		if _, err := os.Stat(hierarchy + "/cgroup.procs"); err == nil {
			pod := "kubepods/besteffort/pod" + request.SandboxConfig.Metadata.Uid
			made.cgroups = append(made.cgroups, filepath.Join(hierarchy, pod, id))
		}
	}
	// The fake's own id is no container id, and without a log path the kubelet removes what is in its working folder.
	service := r.RuntimeService
	service.Lock()
	defer service.Unlock()
	faked := service.Containers[answer.ContainerId]
	delete(service.Containers, answer.ContainerId)
	faked.Id, faked.LogPath = id, made.logPath
	service.Containers[id] = faked
	r.mutex.Lock()
	defer r.mutex.Unlock()
	made.sandbox = r.sandboxes[request.PodSandboxId]
	r.containers[id] = made
	return &cri.CreateContainerResponse{ContainerId: id}, nil
}

func (r *containerRuntime) StartContainer(ctx context.Context, request *cri.StartContainerRequest) (*cri.StartContainerResponse, error) {
	started, err := r.find(request.ContainerId)
	if err != nil {
		return nil, err
	}
	command, err := started.command()
	if err != nil {
		return nil, err
	}
	if err := startBeside(started.sandbox, command); err != nil {
		return nil, err
	}
	started.process = command.Process
	answer, err := r.RemoteRuntime.StartContainer(ctx, request)
	go func() {
		command.Wait()
		// What it left behind ends with it, as with the first process of a container.
		syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		r.RuntimeService.Lock()
		if faked := r.RuntimeService.Containers[request.ContainerId]; faked != nil {
			faked.State = cri.ContainerState_CONTAINER_EXITED
			faked.FinishedAt = time.Now().UnixNano()
			faked.ExitCode = exitCode(command.ProcessState)
		}
		r.RuntimeService.Unlock()
		close(started.ended)
	}()
	return answer, err
}

func (c *container) command() (*exec.Cmd, error) {
	words := []string{"-euc", prepare, "sh"}
	for _, cgroup := range c.cgroups {
		if err := os.MkdirAll(cgroup, 0o755); err != nil {
			return nil, err
		}
		words = append(words, cgroup)
	}
	words = append(words, "--")
	// A folder is mounted before what lies in it.
	mounts := slices.SortedFunc(slices.Values(c.config.Mounts), func(a, b *cri.Mount) int {
		return strings.Compare(a.ContainerPath, b.ContainerPath)
	})
	for _, mount := range mounts {
		mode := "rw"
		if mount.Readonly {
			mode = "ro"
		}
		words = append(words, mount.HostPath, mount.ContainerPath, mode)
	}
	words = append(words, "--")
	environment := os.Environ()
	if c.sandbox != nil {
		environment = append(environment, "PROC=1")
	}
	for _, variable := range c.config.Envs {
		value := string(variable.Value)
		if variable.Key == visibleDevices {
			words = append(words, clientOf(strings.Split(value, ","))...)
		}
		if !slices.Contains(serviceVariables, variable.Key) {
			environment = append(environment, variable.Key+"="+value)
		}
	}
	for _, device := range c.config.CDIDevices {
		_, name, _ := strings.Cut(device.Name, "=")
		words = append(words, clientOf([]string{name})...)
	}
	own := append(append([]string{}, c.config.Command...), c.config.Args...)
	if len(own) == 0 {
		own = []string{"sleep", "infinity"}
	}
	command := exec.Command("/bin/sh", append(words, own...)...)
	command.Env = environment
	command.Dir = "/"
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Unshareflags: syscall.CLONE_NEWNS}
	log, err := os.OpenFile(c.logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	command.Stdout, command.Stderr = log, log
	return command, err
}

// clientOf gives the words before a command that make it a client of these devices. Who may see all of them, as what
// manages them, or none, uses none.
func clientOf(devices []string) []string {
	var words []string
	for _, device := range devices {
		if strings.HasPrefix(device, "GPU-") || strings.HasPrefix(device, "MIG-") {
			words = append(words, "mig-simulator", "run", "--device", device, "--")
		}
	}
	return words
}

// startBeside starts the command in the namespace of processes that begins with the first process, if there is one.
func startBeside(first *os.Process, command *exec.Cmd) error {
	if first == nil {
		return command.Start()
	}
	namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/pid", first.Pid))
	if err != nil {
		return err
	}
	defer namespace.Close()
	started := make(chan error)
	go func() {
		// It is for what this thread starts, and the thread ends with this function.
		runtime.LockOSThread()
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWPID); err != nil {
			started <- err
			return
		}
		started <- command.Start()
	}()
	return <-started
}

func exitCode(state *os.ProcessState) int32 {
	if status := state.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int32(status.Signal())
	}
	return int32(state.ExitCode())
}

func (r *containerRuntime) StopContainer(ctx context.Context, request *cri.StopContainerRequest) (*cri.StopContainerResponse, error) {
	stopped, err := r.find(request.ContainerId)
	if err != nil {
		return nil, err
	}
	stopped.stop(time.Duration(request.Timeout) * time.Second)
	return &cri.StopContainerResponse{}, nil
}

// stop ends the process: by SIGTERM, and by SIGKILL when it is still there after its grace.
func (c *container) stop(grace time.Duration) {
	if c.process == nil {
		return
	}
	syscall.Kill(c.process.Pid, syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(grace):
		syscall.Kill(c.process.Pid, syscall.SIGKILL)
		<-c.ended
	}
}

func (r *containerRuntime) RemoveContainer(ctx context.Context, request *cri.RemoveContainerRequest) (*cri.RemoveContainerResponse, error) {
	if removed, err := r.find(request.ContainerId); err == nil {
		removed.stop(0)
		for _, cgroup := range removed.cgroups {
			os.Remove(cgroup)
			os.Remove(filepath.Dir(cgroup)) // the pod's, with its last container
		}
	}
	r.mutex.Lock()
	delete(r.containers, request.ContainerId)
	r.mutex.Unlock()
	return r.RemoteRuntime.RemoveContainer(ctx, request)
}
