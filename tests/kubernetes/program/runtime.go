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
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-client/pkg/fake"
)

// Where cgroups can be made in each of systemd's set-ups; a hybrid one has the last two.
var hierarchies = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"}

// Moves itself into the cgroups, its arguments before --, and becomes the command after it.
const join = `while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs"; shift; done; shift; exec "$@"`

// A containerRuntime is Kubernetes' own fake of one, but for the processes: a container's command runs as a process of
// this host, without image, namespaces and file system of its own, in a cgroup where cgroupfs' driver would put it.
// A container with NVIDIA_VISIBLE_DEVICES is a client of those simulated devices.
type containerRuntime struct {
	*fake.RemoteRuntime
	mutex      sync.Mutex
	containers map[string]*container
}

type container struct {
	config  *cri.ContainerConfig
	logPath string
	cgroups []string
	process *os.Process   // nil before its start
	ended   chan struct{} // closed when the process has ended
}

// runContainerRuntime serves CRI on this socket.
func runContainerRuntime(socket string) error {
	runtime := &containerRuntime{RemoteRuntime: fake.NewFakeRemoteRuntime(), containers: map[string]*container{}}
	runtime.RuntimeService.FakeStatus = &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
		{Type: cri.RuntimeReady, Status: true},
		{Type: cri.NetworkReady, Status: true},
	}}
	runtime.RuntimeService.FakeLinuxConfiguration = &cri.LinuxRuntimeConfiguration{CgroupDriver: cri.CgroupDriver_CGROUPFS}
	runtime.ImageService.SetFakeFilesystemUsage([]*cri.FilesystemUsage{{
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
	cri.RegisterRuntimeServiceServer(server, runtime)
	cri.RegisterImageServiceServer(server, runtime)
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
	if err := command.Start(); err != nil {
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
	words := []string{"-euc", join, "sh"}
	for _, cgroup := range c.cgroups {
		if err := os.MkdirAll(cgroup, 0o755); err != nil {
			return nil, err
		}
		words = append(words, cgroup)
	}
	words = append(words, "--")
	environment := os.Environ()
	for _, variable := range c.config.Envs {
		value := string(variable.Value)
		environment = append(environment, variable.Key+"="+value)
		if variable.Key == visibleDevices {
			for _, device := range strings.Split(value, ",") {
				words = append(words, "mig-simulator", "run", "--device", device, "--")
			}
		}
	}
	own := append(append([]string{}, c.config.Command...), c.config.Args...)
	if len(own) == 0 {
		own = []string{"sleep", "infinity"}
	}
	command := exec.Command("/bin/sh", append(words, own...)...)
	command.Env = environment
	command.Dir = "/"
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	log, err := os.OpenFile(c.logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	command.Stdout, command.Stderr = log, log
	return command, err
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
