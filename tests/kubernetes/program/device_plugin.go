// Copyright (c) 2026, gpufleet.mig contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	plugin "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const visibleDevices = "NVIDIA_VISIBLE_DEVICES"

// What `mig-simulator show --json` says of the devices.
type simulatedHost struct {
	GPUs []struct {
		UUID      string
		MIGMode   bool `json:"mig_mode"`
		Instances []struct {
			ComputeInstances []struct{ UUID, Profile string } `json:"compute_instances"`
		}
	}
}

// A devicePlugin serves one resource. Like NVIDIA's it reads the devices once, when it starts.
type devicePlugin struct {
	plugin.UnimplementedDevicePluginServer
	devices []*plugin.Device
}

// runDevicePlugin gives the kubelet this host's devices, under the names of NVIDIA's plugin with the strategy "mixed":
// nvidia.com/mig-1g.5gb, and nvidia.com/gpu for GPUs that are not in MIG mode.
func runDevicePlugin() error {
	shown, err := exec.Command("mig-simulator", "show", "--json").Output()
	if err != nil {
		return fmt.Errorf("mig-simulator show: %w", err)
	}
	var host simulatedHost
	if err := json.Unmarshal(shown, &host); err != nil {
		return err
	}
	for resource, plugin := range resources(host) {
		if err := plugin.serve(resource); err != nil {
			return err
		}
	}
	select {}
}

func resources(host simulatedHost) map[string]*devicePlugin {
	found := map[string]*devicePlugin{}
	add := func(resource, uuid string) {
		if found[resource] == nil {
			found[resource] = &devicePlugin{}
		}
		found[resource].devices = append(found[resource].devices, &plugin.Device{ID: uuid, Health: plugin.Healthy})
	}
	for _, gpu := range host.GPUs {
		if !gpu.MIGMode {
			add("nvidia.com/gpu", gpu.UUID)
		}
		for _, instance := range gpu.Instances {
			for _, device := range instance.ComputeInstances {
				add("nvidia.com/mig-"+strings.ReplaceAll(device.Profile, "+", "."), device.UUID)
			}
		}
	}
	return found
}

func (p *devicePlugin) serve(resource string) error {
	endpoint := strings.ReplaceAll(resource, "/", "-") + ".sock"
	socket := filepath.Join(plugin.DevicePluginPath, endpoint)
	listener, err := listen(socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	plugin.RegisterDevicePluginServer(server, p)
	go server.Serve(listener)
	kubelet, err := grpc.NewClient("unix://"+plugin.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer kubelet.Close()
	request := &plugin.RegisterRequest{Version: plugin.Version, Endpoint: endpoint, ResourceName: resource}
	_, err = plugin.NewRegistrationClient(kubelet).Register(context.Background(), request)
	return err
}

func (p *devicePlugin) GetDevicePluginOptions(context.Context, *plugin.Empty) (*plugin.DevicePluginOptions, error) {
	return &plugin.DevicePluginOptions{}, nil
}

func (p *devicePlugin) ListAndWatch(_ *plugin.Empty, stream grpc.ServerStreamingServer[plugin.ListAndWatchResponse]) error {
	if err := stream.Send(&plugin.ListAndWatchResponse{Devices: p.devices}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func (p *devicePlugin) Allocate(_ context.Context, request *plugin.AllocateRequest) (*plugin.AllocateResponse, error) {
	answer := &plugin.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		given := map[string]string{visibleDevices: strings.Join(container.DevicesIds, ",")}
		answer.ContainerResponses = append(answer.ContainerResponses, &plugin.ContainerAllocateResponse{Envs: given})
	}
	return answer, nil
}
