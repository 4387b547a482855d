// Copyright (c) 2026, gpufleet.mig contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	plugin "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// showDevicePlugins prints {name of the socket: [ids of its devices]} of the device plugins that serve in this folder,
// as the kubelet would read it of them.
func showDevicePlugins() error {
	sockets, err := filepath.Glob("*.sock")
	if err != nil {
		return err
	}
	found := map[string][]string{}
	for _, socket := range sockets {
		connection, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		defer connection.Close()
		stream, err := plugin.NewDevicePluginClient(connection).ListAndWatch(context.Background(), &plugin.Empty{})
		if err != nil {
			return err
		}
		answer, err := stream.Recv()
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(socket, ".sock")
		for _, device := range answer.Devices {
			found[name] = append(found[name], device.ID)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}
